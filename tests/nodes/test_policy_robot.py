"""policy_node and robot_node together: what stops the policy leaves a robot that brakes and holds."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("zmq", reason="the deploy extra is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "deployment"))

from arm import LATCHED, Arm, patient_rig
from diagnostic_msgs.msg import DiagnosticStatus
from fake_server import FakeServer

from robot_learning.nodes import messages
from robot_learning.sim.station import station_contract


def unhurried_rig(folder):
    """The patient rig, whose policy bears the gaps of a busy machine, too."""
    path = patient_rig(folder)
    content = yaml.safe_load(path.read_text())
    content["policy"]["alignment"]["joint_position"]["max_age_s"] = 0.5
    content["policy"]["execution"] = {"hold_s": 2.0}
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_policy_that_stops_pauses_or_dies_leaves_a_robot_that_holds(graph, tmp_path):
    path = unhurried_rig(tmp_path)
    arm = Arm(graph, path)
    modes = graph.collect(DiagnosticStatus, "/r/policy/mode", LATCHED)

    def mode():
        return messages.values_of(modes[-1])["mode"] if modes else ""

    def call(name):
        return graph.call(f"/r/policy/{name}")

    def acts():
        return graph.until(lambda: mode() == "policy" and arm.gate == "active" and arm.speed > 0.02)

    with FakeServer(
        station_contract(arm.rig), tmp_path, observations=("joint_position",), action=arm.action(), slope=0.003
    ) as server:
        policy = graph.start(
            "robot_learning.nodes.policy_node", "policy", "/r", rig=path, server=server.endpoint, deadline_s=5.0
        )
        graph.until(lambda: call("start").success)
        acts()

        server.behave("nan")
        graph.until(lambda: mode() == "stopped")
        assert "not_finite" in modes[-1].message
        arm.until_stopped("watchdog")
        assert "the gate is stopped (watchdog)" in call("start").message
        server.behave("good")
        assert arm.call("recover").success
        graph.until(lambda: call("start").success)
        acts()

        assert call("pause").success
        arm.until_it_stands()
        graph.spin(2 * arm.rig.watchdog.timeout_s)
        assert arm.gate == "active"  # it is told to hold, so that the watchdog has no reason to stop it
        graph.until(lambda: call("resume").success)
        acts()

        policy.kill()
        arm.until_stopped("watchdog")


def test_a_first_action_far_from_the_robot_is_refused_and_stops_the_policy_by_name(graph, tmp_path):
    path = unhurried_rig(tmp_path)
    arm = Arm(graph, path)
    modes = graph.collect(DiagnosticStatus, "/r/policy/mode", LATCHED)
    far = arm.action() + np.array([0.0, 0.2, *[0.0] * 8])
    with FakeServer(
        station_contract(arm.rig), tmp_path, observations=("joint_position",), action=far, slope=0.003
    ) as server:
        graph.start("robot_learning.nodes.policy_node", "policy", "/r", rig=path, server=server.endpoint)
        graph.until(lambda: graph.call("/r/policy/start").success)
        graph.until(lambda: modes and messages.values_of(modes[-1])["mode"] == "stopped")
        assert "the gate refused to begin" in modes[-1].message
        there = arm.position
        arm.until_it_stands()
        np.testing.assert_allclose(arm.position, there, atol=0.002)
