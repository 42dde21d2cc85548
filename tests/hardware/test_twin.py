"""The FR3's twin as a person starts it: `up collect` with the real Franka and RealSense drivers, and the real store."""

import os
import subprocess
import sys

import pytest
import yaml

from robot_learning.data.store import Store
from robot_learning.drivers.franka.simulator import environment
from robot_learning.errors import DeploymentError
from robot_learning.rig import rig_path

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("franky", reason="franky is not installed: pip install robot_learning[franka]")
pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed: pip install robot_learning[realsense]")
EPISODES = 2


@pytest.fixture
def twin(tmp_path):
    """The rig's file with a recording of its own and short rounds."""
    try:
        environment("franka-sim")
    except DeploymentError as error:
        pytest.skip(str(error))
    recording = tmp_path / "front.db3"
    command = [sys.executable, "-m", "robot_learning.drivers.cameras.synthetic", str(recording), "--seconds", "8"]
    subprocess.run(command, check=True, capture_output=True)
    content = yaml.safe_load(rig_path("sim_fr3_franka_sim").read_text())
    content["cameras"]["front"]["file"] = str(recording)
    content["rehearsal"]["duration_s"] = 3.0
    # The machine may be busy: this is about the chain, not about its timing.
    content["franka"]["simulator_timing"] = "ignored"
    content["watchdog"]["timeout_s"] = content["limits"]["command_age_max_s"] = 1.0
    for how in content["policy"]["alignment"].values():
        how["max_age_s"] = 1.0
    path = tmp_path / "twin.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_rehearsals_are_recorded_through_the_real_drivers_and_the_store_is_clean(twin, tmp_path):
    store = tmp_path / "store"
    robot_learning = [sys.executable, "-m", "robot_learning.cli.main"]
    up = [
        *robot_learning, "up", "collect", "--rig", str(twin), "--device", "scripted", "--episodes", str(EPISODES),
        "--store", str(store), "--task", "a circle", "--logs", str(tmp_path / "logs"), "--namespace", "twin",
    ]  # fmt: skip
    env = os.environ | {"ROS_DOMAIN_ID": "101", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(up, capture_output=True, text=True, timeout=240, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    check = subprocess.run([*robot_learning, "data", "check", str(store)], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout
    assert f"{EPISODES} episodes checked, 0 problems found" in check.stdout
    for episode in Store.open(store).episodes():
        tool, rate = (episode.streams[name].data[:] for name in ("ee_position", "command_success_rate"))
        assert tool[:, 2].max() - tool[0, 2] > 0.04  # of the 6 cm that the circle is high
        assert rate.mean() > 0.5
        frames = episode.streams["front"]
        assert len(frames) > 40
        assert (frames.data[0] != frames.data[20]).any()
