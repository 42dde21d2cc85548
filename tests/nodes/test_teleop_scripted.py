"""The scripted teleoperator on a real graph: demonstrations of the simulated rig, over topics."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")


def test_the_script_gives_demonstrations_over_topics_that_succeed_and_ends_by_itself(graph):
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace="/panda_sim", rig="panda_sim", cameras=False)
    teleop = graph.start(
        "robot_learning.nodes.teleop_node", namespace="/panda_sim", rig="panda_sim", device="scripted",
        episodes=3, first_seed=7, record=False,
    )  # fmt: skip
    graph.until(lambda: teleop.popen.poll() is not None, timeout_s=90)
    assert teleop.popen.returncode == 0, teleop.log
    for seed in (7, 8, 9):
        assert f"seed {seed}: success" in teleop.log
    assert "gave 3 demonstrations, 3 with success" in teleop.log
