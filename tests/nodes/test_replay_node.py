"""Replay of an episode on a real graph: stopped on its way, and to its end."""

import json

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from blind import blind_rig

from robot_learning.data.recorder import Recorder
from robot_learning.data.store import Store
from robot_learning.rig import load_rig
from robot_learning.sim.panda import PandaEnv

NS = "/blind"


def record(rig, path) -> str:
    """One demonstration by the expert, straight from the simulation; its id."""
    env = PandaEnv("lift", cameras=False, rig=rig)
    recorder = Recorder(Store.create(path), env.contract)
    env.reset(seed=3)
    expert, done = env.expert(), False
    expert.reset()
    id = recorder.start("lift", "expert", {}, absent_streams=["commander"])
    samples = env.samples()
    while not done:
        _, _, done, _, _ = env.step(expert.act())
        samples += env.samples()
    for sample in samples:
        assert recorder.record_blocking(sample)
    recorder.stop("success", "success")
    return id


def test_a_replay_is_ended_by_a_stop_and_after_recovery_does_the_whole_motion(graph, tmp_path):
    rig, store = blind_rig(tmp_path), tmp_path / "store"
    id = record(load_rig(rig), store)
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=rig, seed=3)

    def replay(folder):
        return graph.start("robot_learning.nodes.replay_node", namespace=NS, rig=rig, store=store, output=folder)

    graph.call(f"{NS}/robot/stop")  # a service's first call may take long, for its client must be discovered
    graph.until(lambda: graph.call(f"{NS}/robot/recover").success)
    stopped = replay(tmp_path / "stopped")
    graph.until(lambda: "moving to the start" in stopped.log)
    graph.call(f"{NS}/robot/stop")
    graph.until(lambda: stopped.popen.poll() is not None)
    assert stopped.popen.returncode == 1
    report = json.loads((tmp_path / "stopped" / "replay.json").read_text())
    assert report["ended"].startswith("the gate stopped: stop")
    assert report["targets"]["sent"] < report["targets"]["recorded"]

    graph.until(lambda: graph.call(f"{NS}/robot/recover").success)
    whole = replay(tmp_path / "whole")
    graph.until(lambda: whole.popen.poll() is not None, timeout_s=80)
    assert whole.popen.returncode == 0, whole.log
    report = json.loads((tmp_path / "whole" / "replay.json").read_text())
    assert report["ended"] == "done"
    assert report["episode"] == id
    assert report["position_m"]["mean"] < 0.03  # a busy machine sends late; unhurried, it is some millimetres
    assert (tmp_path / "whole" / "replay.html").exists()


def test_a_store_that_is_not_there_is_a_sentence_and_exit_code_2(graph, tmp_path):
    node = graph.start("robot_learning.nodes.replay_node", rig="panda_sim", store=tmp_path / "nothing")
    graph.until(lambda: node.popen.poll() is not None)
    assert node.popen.returncode == 2
    assert "nothing" in node.log
    assert "Traceback" not in node.log
