"""Commands a recorded episode's actions again and reports how far the motion strayed."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.deployment import replay_report
from robot_learning.deployment.recorded import load_recorded
from robot_learning.deployment.replay import TICK_HZ, Replay
from robot_learning.errors import ConfigError
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.state_intake import StateIntake
from robot_learning.output import prepare_folder
from robot_learning.topics import action_names

_INTERRUPTED = 1  # exit code where the gate stopped


class ReplayNode(StationNode):
    """Runs a `Replay`, writes its report, ends: with 0 where the whole episode was done, else with 1."""

    declaration = declared.REPLAY

    def configure(self) -> None:
        if not self.param("store"):
            raise ConfigError("replay: the parameter 'store' is empty; give -p store:=<folder of a store>.")
        prepare_folder(self.param("output"))
        self._recorded = load_recorded(self.param("store"), self.param("episode"), self.rig)
        self._names = action_names(self.rig)
        self._target = self.advertise("robot/target")
        self.replay = Replay(self.rig, self._recorded, self.param("speed"), self.clock, self._send)
        StateIntake(self, self.replay.measured)
        self.listen("robot/gate", self._gate)
        self._phase = ""
        self._timer = self.create_timer(1 / TICK_HZ, self._tick)
        self._timer.cancel()

    def activate(self) -> None:
        self._timer.reset()

    def deactivate(self) -> None:
        """Without targets the robot's watchdog brakes, and holds."""
        self._timer.cancel()

    def time_jumped(self, delta_ns: int) -> None:
        self.replay.measured.clear()

    def _tick(self) -> None:
        replay = self.replay
        replay.tick()
        if replay.phase != self._phase:
            self._phase = replay.phase
            self.get_logger().info(f"episode {self._recorded.id}: {replay.phase}")
        if replay.finished:
            self._timer.cancel()
            self._report()

    def _report(self) -> None:
        replay = self.replay
        figures = replay_report.report(self.rig, self._recorded, replay, self.param("speed"))
        path = replay_report.write(self.param("output"), figures, replay.comparison() if replay.compared else None)
        if "position_m" in figures:
            p, j = figures["position_m"], figures["joint_rad"]
            self.get_logger().info(
                f"{replay.ended}; from the recorded motion the tool strayed {1e3 * p['mean']:.1f} mm on average and "
                f"{1e3 * p['max']:.1f} mm at most, a joint {j['max']:.4f} rad at most; see {path}"
            )
        else:
            self.get_logger().info(f"{replay.ended}; see {path}")
        self.end(0 if replay.ended == "done" else _INTERRUPTED)

    def _send(self, values: np.ndarray, stamp_ns: int) -> None:
        self._target.publish(messages.vector(stamp_ns, self._names, values))

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self.replay.stopped = values.get("reason", "stopped") if values.get("state") == "stopped" else ""
        prefix = "trips."
        self.replay.trips = {k.removeprefix(prefix): int(n) for k, n in values.items() if k.startswith(prefix)}


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(ReplayNode, arguments)


if __name__ == "__main__":
    main()
