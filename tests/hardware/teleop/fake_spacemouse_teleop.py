"""teleop_node with a played SpaceMouse; what its hands do comes in lines on standard input.

push <x> <y> <z> (repeated until the next), press <button>, release <button>, unplug, plug
"""

from __future__ import annotations

import sys
import threading
import time

from easyhid import easyhid
from fake_hidapi import FakeHidapi, FakeMouse

from robot_learning.nodes import teleop_node

_REPORT_S = 0.016  # between the reports of a cap that is off its centre


class Hands:
    """Do what the lines say, until there are no more; a cap off its centre reports all the time."""

    def __init__(self, mouse: FakeMouse) -> None:
        self.mouse, self.away = mouse, [0.0, 0.0, 0.0]
        for work in (self._follow, self._report):
            threading.Thread(target=work, daemon=True).start()

    def _report(self) -> None:
        while True:
            if any(self.away):
                self.mouse.push(*self.away)
            time.sleep(_REPORT_S)

    def _follow(self) -> None:
        for line in sys.stdin:
            what, *rest = line.split()
            if what == "push":
                self.away = [float(value) for value in rest]
                self.mouse.push(*self.away)
            elif what in ("unplug", "plug"):
                self.mouse.attached, self.away = what == "plug", [0.0, 0.0, 0.0]
                self.mouse.reports.clear()
            else:
                self.mouse.press(rest[0], what == "press")


if __name__ == "__main__":
    mouse = FakeMouse()
    easyhid.hidapi = FakeHidapi(mouse)
    Hands(mouse)
    teleop_node.main(sys.argv)
