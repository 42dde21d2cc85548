"""A fake Stretch for tests of logic: each joint follows its trapezoidal profile exactly, in the clock's time."""

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.stretch.body import BodyModel, BodyStatus, Span

SPANS = {
    "joint_lift": Span(0.0, 1.1, 0.15, 0.3),
    "wrist_extension": Span(0.0, 0.52, 0.4, 0.4),
    "joint_wrist_yaw": Span(-1.4, 4.5, 6.0, 10.0),
    "joint_wrist_pitch": Span(-1.57, 0.45, 3.0, 10.0),
    "joint_wrist_roll": Span(-2.9, 2.9, 4.5, 12.0),
    "joint_head_pan": Span(-3.9, 1.9, 7.0, 14.0),
    "joint_head_tilt": Span(-1.7, 0.4, 7.0, 14.0),
    "gripper_width": Span(-0.128, 0.228, 0.5, 0.5),
}
_STEP_S = 0.001


class FakeStretchBody:
    """Like the genuine one it ignores motions that it can't make, silently; what it ignored is in `ignored`."""

    def __init__(self, clock, rate_hz=25.0):
        self.clock, self.rate_hz = clock, rate_hz
        self.starts, self.homed, self.started, self.closed = True, True, False, False
        self.name, self.tool, self.spans = "SE3", "eoa_wrist_dw3_tool_sg3", dict(SPANS)
        self.runstop, self.fault, self.busy, self.frozen = False, "", "", False
        self.position = dict.fromkeys(SPANS, 0.0) | {"joint_lift": 0.6, "wrist_extension": 0.1, "gripper_width": 0.05}
        self.velocity = dict.fromkeys(SPANS, 0.0)
        self.goals, self.base, self.contact_count = {}, np.zeros(2), {"joint_lift": 0, "wrist_extension": 0}
        self.pending, self.pending_base = {}, None
        self.collisions, self.heading = (), 0.0
        self.moves, self.base_told, self.pushes, self.ignored = [], [], 0, []
        self.time_s, self.status_ns = clock.now_ns() / NS_PER_S, -1

    def startup(self):
        self.started = self.starts
        return self.starts

    def is_homed(self):
        return self.homed

    def model(self):
        return BodyModel(self.name, self.tool, self.spans, 0.3, 0.3, self.rate_hz)

    def move_to(self, motions):
        self.pending |= motions

    def set_base_velocity(self, forward, turn, acceleration):
        self.pending_base = np.array([forward, turn])

    def push(self):
        self.pushes += 1
        self.advance()
        motions, base = self.pending, self.pending_base
        self.pending, self.pending_base = {}, None
        if not self.started or not self.homed or self.runstop:
            self.ignored += list(motions)
            return
        if motions:
            self.moves.append(motions)
            self.goals |= motions
        if base is not None:
            self.base = base
            self.base_told.append((self.clock.now_ns(), base.tolist()))

    def prepare(self, what):
        self.homed = True

    def close(self):
        self.closed = True

    def status(self):
        self.advance()
        now = self.clock.now_ns()
        if not self.frozen and (now - self.status_ns >= 0.9 * NS_PER_S / self.rate_hz or self.status_ns < 0):
            self.status_ns = now
            self.measured = (dict(self.position), dict(self.velocity))
        return BodyStatus(
            self.status_ns, *self.measured, np.array([0.0, 0.0, self.heading]), self.base.copy(), runstop=self.runstop,
            contact_count=dict(self.contact_count), battery_v=12.4, busy=self.busy, fault=self.fault,
            collisions=self.collisions,
        )  # fmt: skip

    def advance(self):
        """Joints along their profiles, up to the clock's now."""
        while self.time_s + _STEP_S <= self.clock.now_ns() / NS_PER_S + 1e-9:
            self.time_s += _STEP_S
            if self.runstop:  # motors let go, and wait for a new command afterwards
                self.goals.clear()
            for name, motion in self.goals.items():
                left = motion.position - self.position[name]
                most = min(motion.velocity, np.sqrt(2 * motion.acceleration * abs(left)), abs(left) / _STEP_S)
                change = np.sign(left) * most - self.velocity[name]
                step = motion.acceleration * _STEP_S
                self.velocity[name] += float(np.clip(change, -step * 1.05, step * 1.05))
                self.position[name] += self.velocity[name] * _STEP_S
