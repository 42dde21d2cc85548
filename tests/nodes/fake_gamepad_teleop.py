"""teleop_node with a virtual controller in its process; what its hands do comes in lines on standard input.

push <axis> <share>, press <button>, release <button>, unplug, plug
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "drivers"))

import pygame
from fake_pad import FakePad
from pygame._sdl2 import controller

from robot_learning.nodes import teleop_node


def follow(pad: FakePad) -> None:
    """Do what the lines say, until there are no more."""
    for line in sys.stdin:
        what, *rest = line.split()
        if what == "push":
            pad.push(int(rest[0]), float(rest[1]))
        elif what == "unplug":
            pad.unplug()
        elif what == "plug":
            pad = FakePad()
        else:
            pad.press(int(rest[0]), what == "press")


if __name__ == "__main__":
    pygame.display.init()
    controller.init()
    threading.Thread(target=follow, args=(FakePad(),), daemon=True).start()
    teleop_node.main(sys.argv)
