"""The scripted teleoperator on a real graph: demonstrations of the simulated rig, over topics, into a store."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from blind import blind_rig

from robot_learning.data.store import Store
from robot_learning.data.validation import check


def test_the_script_gives_demonstrations_over_topics_that_succeed_are_recorded_and_ends_by_itself(graph, tmp_path):
    rig, store = blind_rig(tmp_path), tmp_path / "store"
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace="/blind", rig=rig)
    graph.start("robot_learning.nodes.recorder_node", namespace="/blind", rig=rig, store=store, task="lift")
    teleop = graph.start("robot_learning.nodes.teleop_node", namespace="/blind", rig=rig, device="scripted",
                         episodes=3, first_seed=7)  # fmt: skip
    graph.until(lambda: teleop.popen.poll() is not None, timeout_s=100)
    assert teleop.popen.returncode == 0, teleop.log
    for seed in (7, 8, 9):
        assert f"seed {seed}: success" in teleop.log
    assert "gave 3 demonstrations, 3 with success" in teleop.log
    episodes = Store.open(store).episodes()
    assert [e.metadata["outcome"] for e in episodes] == ["success"] * 3
    for episode in episodes:
        assert check(episode) == []
        cube = episode.streams["cube_position"]
        first, last = cube.read([0, len(cube) - 1])
        assert last[2] - first[2] > 0.05
        assert len(episode.streams["action_commanded"]) > 20
