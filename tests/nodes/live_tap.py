"""recorder_node with a policy's live buffer behind the same intake: what each grid time looks like live, as it comes.

At the end of an episode the windows are in the file named by LIVE_TAP.
"""

from __future__ import annotations

import os

import numpy as np

from robot_learning.data.live import LiveBuffer
from robot_learning.data.sample import Sample
from robot_learning.data.windows import StaleObservation, observe, step_ns
from robot_learning.deployment.session import Ended
from robot_learning.nodes.base import run
from robot_learning.nodes.recorder_node import RecorderNode
from robot_learning.sim.station import station_contract

TO = 3
PATIENCE_S = 1.0  # a grid time is looked at when every stream has gone beyond it, at most so much later


class LiveTap(RecorderNode):
    """Observes at each grid time of the episode with what has been delivered by then."""

    def configure(self) -> None:
        contract = self._contract = station_contract(self.rig)
        self._buffer = LiveBuffer(contract, (TO - 1) / contract.policy_rate_hz + PATIENCE_S)
        self._features = [f.name for f in contract.observations]
        self._observed = {f.stream for f in contract.observations}
        self._forget()
        super().configure()

    def _forget(self) -> None:
        self._buffer.clear()
        self._received: dict[str, int] = {}
        self._next: int | None = None  # the first action gives the grid its phase
        self._begin = 0
        self._windows: list[dict[str, np.ndarray]] = []

    def _start(self) -> str:
        told = super()._start()
        self._forget()
        self._begin = self._session._begin_ns
        return told

    def deliver(self, samples: list[Sample]) -> None:
        super().deliver(samples)
        if not self._session.recording:
            return
        samples = [s for s in samples if s.received_ns >= self._begin]
        self._buffer.extend(samples)
        for sample in samples:
            self._received[sample.stream] = sample.received_ns
            if sample.stream == "action_gated" and self._next is None:
                step = step_ns(self._contract)
                self._next = sample.stamp_ns - (sample.stamp_ns - self._begin) // step * step
        if self._observed <= self._received.keys():
            self._look_until(min(self._received[s] for s in self._observed) - 1)

    def _look_until(self, end_ns: int) -> None:
        while self._next is not None and self._next <= end_ns:
            window = {"time": np.array(self._next)}
            try:
                window |= observe(self._contract, self._buffer.sources, self._next, TO, self._features)
            except StaleObservation as error:
                window["stale"] = np.array(error.feature)
            self._windows.append(window)
            self._next += step_ns(self._contract)

    def _ended(self, ended: Ended | None) -> None:
        if ended is not None and ended.id:
            self._look_until(max(self._received.values()) + 2 * step_ns(self._contract))
            flat = {f"{i}.{key}": value for i, window in enumerate(self._windows) for key, value in window.items()}
            np.savez(os.environ["LIVE_TAP"], **flat)
        super()._ended(ended)


if __name__ == "__main__":
    run(LiveTap)
