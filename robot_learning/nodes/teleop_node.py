"""A person, or a script in a person's place, as a source of targets."""

from __future__ import annotations

from typing import Protocol

from rclpy.parameter import Parameter

from robot_learning.nodes import declarations as declared
from robot_learning.nodes.base import StationNode, run


class Pilot(Protocol):
    """Who commands while the node is active."""

    def begin(self) -> None:
        """From now on send; UserError refuses."""
        ...

    def end(self) -> None:
        """Send nothing more: the robot's watchdog brakes, and holds."""
        ...

    def close(self) -> None:
        """Give everything back, also when ROS is gone already."""
        ...

    def change(self, parameter: Parameter) -> None:
        """A parameter was set."""
        ...

    def time_jumped(self) -> None:
        """Time was set."""
        ...


class TeleopNode(StationNode):
    """Device to targets: `Person` for a person's hands, `Demonstrations` for the script."""

    declaration = declared.TELEOP

    def configure(self) -> None:
        device = self.param("device") or self.rig.teleop.device
        self._pilot: Pilot
        if device == "scripted":
            from robot_learning.nodes.demonstrations import Demonstrations

            self._pilot = Demonstrations(self)
        else:
            from robot_learning.nodes.person import Person

            self._pilot = Person(self, device)
        self.add_post_set_parameters_callback(self._changed)

    def activate(self) -> None:
        self._pilot.begin()

    def deactivate(self) -> None:
        self._pilot.end()

    def close(self) -> None:
        if hasattr(self, "_pilot"):
            self._pilot.close()

    def time_jumped(self, delta_ns: int) -> None:
        if hasattr(self, "_pilot"):
            self._pilot.time_jumped()

    def _changed(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            self._pilot.change(parameter)


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(TeleopNode, arguments)


if __name__ == "__main__":
    main()
