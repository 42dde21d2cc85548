"""`robot-learning ros-demo`, in small: every stage for real, a policy that has hardly been trained."""

import json
import os
import subprocess
import sys

import pytest
from harness import free_domain

from robot_learning.data.store import Store
from robot_learning.data.validation import check

pytest.importorskip("mujoco")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ros_demo")
    with free_domain() as domain:
        command = [sys.executable, "-m", "robot_learning.cli.main", "ros-demo", "--output", "demo"]
        small = ["--demonstrations", "2", "--steps", "6", "--episodes", "2"]
        env = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_LOG_DIR": str(folder / "log"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *small], cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "over ROS: success" in done.stdout
    return folder / "demo"


def test_demonstrations_come_through_topics_and_are_whole(folder):
    episodes = Store.open(folder / "store").episodes()
    assert [e.metadata["outcome"] for e in episodes] == ["success", "success"]
    for episode in episodes:
        assert check(episode) == []
        assert episode.metadata["operator"] == "script"
        assert len(episode.streams["action_gated"]) > 10
        assert len(episode.streams["front"]) > 10


def test_rollouts_are_recorded_and_told_with_how_they_ended(folder):
    rollouts = json.loads((folder / "rollouts.json").read_text())
    assert [r["seed"] for r in rollouts] == [100_000, 100_001]
    assert all(r["ended"] for r in rollouts)
    recorded = Store.open(folder / "rollouts").episodes()
    assert [e.metadata["outcome"] for e in recorded] == ["success" if r["success"] else "failure" for r in rollouts]


def test_the_report_compares_with_the_same_seeds_without_ros(folder):
    report = json.loads((folder / "report.json").read_text())
    assert report["evaluation"]["paired"]["seeds"] == 2
    assert report["without_ros"]["episodes"] == 2
    page = (folder / "report.html").read_text()
    for words in ("over ROS", "without ROS", "up rollout", "McNemar"):
        assert words in page
