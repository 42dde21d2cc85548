"""Shows a running rig in a browser."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from typing import Any

from robot_learning.data.sample import Sample
from robot_learning.deployment.live_view import LiveView, Viewer
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.intake import Intake
from robot_learning.topics import topics

_LEVEL = {messages.OK: 0, messages.WARN: 1}


class LiveNode(StationNode):
    """Passes what the rig's topics tell on to a `LiveView`; it commands nothing and holds up nobody."""

    declaration = declared.LIVE

    def configure(self) -> None:
        cameras, plots = list(self.rig.cameras), self._plots()
        self._viewer = Viewer(self.param("port"), self.param("data_port"), self.param("memory"))
        self.view = LiveView(self.get_namespace().strip("/"), self._viewer.connect, cameras, plots)
        # Best effort, so that no publisher ever waits for a picture to be shown.
        sources = {
            name: config.model_copy(update={"reliability": "best_effort"}) for name, config in topics(self.rig).items()
        }
        self._levels: dict[str, int] = {}  # of each line of diagnostics, as last heard
        self._told: dict[str, int] = {}  # and as last shown
        self._headlines: dict[str, str] = {}
        shown = [*cameras, *(name for lines in plots.values() for name in lines)]
        self._intake = Intake(self, self.rig.contract(), sources, shown, self._show)
        for topic, part in (("robot/gate", "gate"), ("recorder/status", "recorder"), ("policy/mode", "policy")):
            self.listen(topic, self._state(part))
        self.listen("recorder/episode", self._episode)
        self.listen("/diagnostics", self._diagnostics_of_others)
        self.get_logger().info(f"open {self._viewer.url}")
        if self.param("browser"):
            webbrowser.open(self._viewer.url)

    def close(self) -> None:
        for part in (getattr(self, "view", None), getattr(self, "_viewer", None)):
            if part is not None:
                part.close()

    def time_jumped(self, delta_ns: int) -> None:
        if hasattr(self, "view"):
            self.view.forget()

    def _plots(self) -> dict[str, dict[str, tuple[str, ...]]]:
        tool = {"ee_position": ("x [m]", "y [m]", "z [m]"), "gripper_width": ("gripper [m]",)}
        return {
            "joints": {"joint_position": tuple(f"{name} [rad]" for name in self.rig.robot.joint_names)},
            "tool": tool,
        }

    def _show(self, samples: list[Sample]) -> None:
        for sample in samples:
            if sample.stream in self.rig.cameras:
                self.view.image(sample.stream, sample.stamp_ns, sample.data)
            else:
                self.view.values(sample.stream, sample.stamp_ns, sample.data)

    def _state(self, part: str) -> Callable[[Any], None]:
        def read(message: Any) -> None:
            now = self.clock.now_ns()
            self.view.state(part, now, message.message, messages.values_of(message))
            if self._headlines.get(part) != message.message:
                self._headlines[part] = message.message
                self.view.event(now, _LEVEL.get(message.level, 2), f"{part}: {message.message}")

        return read

    def _episode(self, message: Any) -> None:
        self.view.event(self.clock.now_ns(), 0, f"recorder: sealed {message.data}")

    def _diagnostics_of_others(self, message: Any) -> None:
        """Complaints, once each: those that are still there in the next message, and their end."""
        for line in message.status:
            level = _LEVEL.get(line.level, 2)
            lasting, self._levels[line.name] = self._levels.get(line.name) == level, level
            if lasting and level != self._told.get(line.name, 0):
                self._told[line.name] = level
                text = line.message if level else "well again"
                self.view.event(self.clock.now_ns(), level, f"{line.name}: {text}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(LiveNode, arguments)


if __name__ == "__main__":
    main()
