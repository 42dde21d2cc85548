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

_PLOTS = ("joint_position", "ee_position", "gripper_width")
_LEVEL = {messages.OK: 0, messages.WARN: 1}


class LiveNode(StationNode):
    """Passes what the rig's topics tell on to a `LiveView`; it commands nothing and holds up nobody."""

    declaration = declared.LIVE

    def configure(self) -> None:
        contract = self.rig.contract()
        self._cameras = list(self.rig.cameras)
        series = {
            "joint_position": self.rig.robot.joint_names,
            "ee_position": ("x", "y", "z"),
            "gripper_width": ("gripper_width",),
        }
        self._viewer = Viewer(self.param("port"), self.param("data_port"), self.param("memory"))
        self.view = LiveView(self._viewer.data_url, self.get_namespace().strip("/"), self._cameras, series)
        # Best effort, so that no publisher ever waits for a picture to be shown.
        sources = {
            name: config.model_copy(update={"reliability": "best_effort"}) for name, config in topics(self.rig).items()
        }
        self._complaints: dict[str, str] = {}
        self._headlines: dict[str, str] = {}
        self._intake = Intake(self, contract, sources, [*self._cameras, *_PLOTS], self._show)
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
        """Complaints, each once until it is over."""
        for line in message.status:
            complaint = "" if line.level == messages.OK else line.message
            if complaint != self._complaints.get(line.name, ""):
                self._complaints[line.name] = complaint
                level, text = _LEVEL.get(line.level, 2), complaint or "well again"
                self.view.event(self.clock.now_ns(), level, f"{line.name}: {text}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(LiveNode, arguments)


if __name__ == "__main__":
    main()
