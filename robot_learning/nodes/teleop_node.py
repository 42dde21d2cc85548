"""A person, or a script in a person's place, as a source of targets."""

from __future__ import annotations

from robot_learning.nodes import declarations as declared
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.script import Script


class TeleopNode(StationNode):
    """Device to targets; see `deployment/teleop.py` for a person's, `deployment/scripted.py` for the script's."""

    declaration = declared.TELEOP

    def configure(self) -> None:
        self._pilot: Script | None = None

    def activate(self) -> None:
        self._pilot = Script(self)

    def deactivate(self) -> None:
        if self._pilot:
            self._pilot.close()

    def close(self) -> None:
        self.deactivate()


def main() -> None:
    """Entry point of teleop_node."""
    run(TeleopNode)


if __name__ == "__main__":
    main()
