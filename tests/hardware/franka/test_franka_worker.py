"""What no simulator of a Franka does: a user's stop, a robot that stays in its error, a control that is refused."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from simulators import make_rig

from robot_learning.drivers.franka import packets
from robot_learning.drivers.franka.packets import Packets, TargetPacket
from robot_learning.drivers.franka.reference import Clips
from robot_learning.drivers.franka.states import Event, State
from robot_learning.errors import UserError

franky = pytest.importorskip("franky", reason="franky-control is missing; make hardware installs it")


class FakeArm:
    """Stands, is in the mode that a test says, and refuses what it says."""

    clips = Clips(*(np.full(3, 0.05) for _ in range(4)))

    def __init__(self):
        self.mode, self.refusal, self.stays, self.controlled, self.led = franky.RobotMode.Idle, "", "", False, 0

    def read(self):
        pose = SimpleNamespace(matrix=np.eye(4))
        return SimpleNamespace(
            robot_mode=self.mode, current_errors=SimpleNamespace(), q=np.zeros(7), dq=np.zeros(7), O_T_EE=pose
        )

    def begin(self, state):
        if self.refusal:
            raise UserError(self.refusal)
        self.controlled = True

    def lead_tool(self, reference):
        self.led += 1

    def twist(self, state):
        return np.zeros(3), np.zeros(3)

    def outcome(self):
        return 'aborted by reflex! ["joint_reflex"]'

    def recover(self):
        if self.stays:
            raise UserError(self.stays)


class Bench:
    def __init__(self):
        from robot_learning.drivers.franka.worker import Worker

        self.node, theirs = packets.pair()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self.heard = Packets(reading)
        self.worker = Worker(theirs, writing, make_rig())
        self.arm = self.worker._arm = self.worker._leader._arm = FakeArm()
        self.worker._on(Event.CONNECTED)

    def turn(self):
        self.worker._hear()
        self.worker._turn(self.arm.read())
        return self.worker._machine.state

    def target(self, generation=0):
        self.node.send(
            TargetPacket(generation, packets.TOOL, np.concatenate([np.zeros(3), np.eye(3).ravel()]), 0).pack()
        )

    def recover(self):
        self.node.send(packets.pack_message({"id": 1, "do": "recover"}))
        self.worker._hear()
        answers = [packets.unpack_message(data) for data in self.heard.read()]  # with all that was told before
        return next(answer["error"] for answer in answers if "id" in answer)


@pytest.fixture
def bench():
    return Bench()


def test_a_users_stop_holds_until_it_is_released_and_recovered_from(bench):
    bench.target()
    assert bench.turn() is State.FOLLOWING
    assert bench.arm.led == 1
    bench.arm.mode, bench.arm.controlled = franky.RobotMode.UserStopped, False
    assert bench.turn() is State.USER_STOPPED
    bench.arm.stays = "release it"
    assert bench.recover() == "release it"
    bench.arm.mode, bench.arm.stays = franky.RobotMode.Idle, ""
    bench.target()
    assert bench.turn() is State.USER_STOPPED, "released is not recovered"
    assert bench.recover() == ""
    assert bench.turn() is State.IDLE
    bench.target()
    assert bench.turn() is State.FOLLOWING


def test_a_reflex_is_told_with_what_to_do(bench):
    bench.target()
    bench.turn()
    bench.arm.controlled = False
    assert bench.turn() is State.REFLEX
    assert "collision" in bench.worker._machine.reason
    assert "To do" in bench.worker._machine.reason


def test_a_robot_that_refuses_to_be_controlled_holds_and_says_why(bench):
    bench.arm.refusal = "the robot refused to be controlled (guiding mode)"
    bench.target()
    assert bench.turn() is State.REFLEX
    assert "guiding" in bench.worker._machine.reason
    assert bench.arm.led == 0


def test_while_it_comes_to_rest_nothing_is_recovered(bench):
    bench.target()
    bench.turn()
    bench.worker._on(Event.SILENCE, "silent")
    assert "comes to rest" in bench.recover()


def test_the_end_of_the_node_brakes(bench):
    bench.target()
    bench.turn()
    bench.node.close()
    assert bench.turn() is State.BRAKING
    assert bench.worker._leaving
