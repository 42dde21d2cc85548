"""A policy in charge on a clock that the tests own: a runner, a server and a rig, all of which can fail."""

import numpy as np
from fake_client import INFO, FakeClient

from robot_learning.clock import FakeClock
from robot_learning.data.sample import Sample
from robot_learning.deployment.runner import PolicyRunner
from robot_learning.rig import load_rig
from robot_learning.rig_parts.sections import ExecutionConfig

MS = 1_000_000
RIG = load_rig("panda_sim")
PERSON = np.array([0.5, 0, 0.3, 1, 0, 0, 0, -1, 0, 0.08])


class SettableClock(FakeClock):
    def set(self, now_ns):
        self._now_ns = now_ns


class Station:
    """A runner, its server and its rig; `run` lets time pass at 100 ticks per second."""

    def __init__(self, info=INFO, method="", deadline_s=1.0, delay_s=0.03, **execution):
        policy = RIG.policy.model_copy(update={"execution": ExecutionConfig(**execution)})
        self.rig = RIG.model_copy(update={"policy": policy})
        self.clock = SettableClock(1_000_000 * MS)
        self.client = FakeClient(self.clock, info, delay_s)
        self.sent, self.modes, self.timings = [], [], []
        self.runner = PolicyRunner(
            self.client, self.rig.contract(), self.rig, self.clock, self._send, method, deadline_s,
            lambda mode, reason: self.modes.append((mode, reason)), self.timings.append,
        )  # fmt: skip
        self.frozen = set()  # streams that do not come
        self.ahead_ms = 0  # of the camera's stamps
        self.person = None  # a person's targets, while there is one
        self._ticks = 0
        self.runner.gate("inactive", "")
        self.run(0.3)

    def _send(self, action, stamp_ns, human):
        self.sent.append((self.ms, float(action[0]), human))

    @property
    def ms(self):
        return self.clock.now_ns() // MS - 1_000_000

    def run(self, seconds):
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            self._ticks += 1
            now = self.clock.now_ns()
            self._feed("ee_position", np.array([0.5, 0.0, 0.3]), now)
            if self._ticks % 3 == 0:
                self._feed("front", np.zeros((128, 128, 3), np.uint8), now + self.ahead_ms * MS)
            if self.person is not None:
                self.runner.human(self.person, now)
            self.runner.tick()
        return self

    def _feed(self, stream, data, stamp):
        if stream not in self.frozen:
            self.runner.extend([Sample(stream, stamp, self.clock.now_ns(), self._ticks, data)])

    def started(self, seconds=1.0):
        self.runner.start()
        return self.run(seconds)

    @property
    def mode(self):
        return self.runner.mode

    @property
    def reason(self):
        return self.runner.reason

    def assert_silent(self, seconds=1.0):
        count = len(self.sent)
        self.run(seconds)
        assert len(self.sent) == count
