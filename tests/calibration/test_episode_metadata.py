"""A simulated rig's calibration goes into the episodes that are collected on it."""

import pytest

pytest.importorskip("mujoco", reason="the sim extra is not installed")

from robot_learning.calibration.rigfile import about
from robot_learning.data.store import Store
from robot_learning.rig_parts.calibration import CalibrationConfig, CameraLatency
from robot_learning.sim.recording import Demonstrator, Job


def test_collected_episodes_have_the_rigs_calibration(tmp_path):
    store = Store.create(tmp_path / "store")
    demonstrator = Demonstrator(Job("panda/lift", store.path, None, False, False, {"command": "a test"}))
    latency = CameraLatency(latency_s=0.04, error_s=0.001, explained=0.9, **about("live"))
    calibration = CalibrationConfig(robot="mujoco_panda", latency={"wrist": latency})
    env = demonstrator._env
    before = demonstrator.record(0, lambda: False)
    env._rig = env.rig.model_copy(update={"calibration": calibration})
    after = demonstrator.record(1, lambda: False)
    demonstrator.close()
    origin = [store.episode(d.id).metadata["provenance"] for d in (before, after)]
    assert "calibration" not in origin[0]
    assert CalibrationConfig.model_validate(origin[1]["calibration"]) == calibration
