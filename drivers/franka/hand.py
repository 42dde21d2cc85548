"""The Franka Hand, in a thread of its own: its commands take as long as the fingers move."""

from __future__ import annotations

import threading
import time
from typing import Any

import franky

from robot_learning.drivers.franka.arm import BROKEN
from robot_learning.rig import Rig

_CLOSED_M = 0.002  # a width this near to the narrowest is a grasp: with force, whatever is between the fingers
_SAME_M = 0.002
_FULL_M = 0.08  # tolerance of a grasp: an object of any width counts
_RETRY_S = 1.0
_NAP_S = 0.02
_ABORT_S = 0.3


class Hand:
    """Takes widths at any rate and makes the commands of them that the hand understands.

    The hand knows `move` to a width and `grasp` with a force, one at a time, and no stream. A width at the closed end
    is a grasp, any other a move. A new wish waits until the running command has ended, 0.8 s at most:
    not every server of the protocol survives a command that is broken off, so that is for stops alone.

    Attributes:
        width_m: measured; 0 until it is known.
        grasped: whether it holds something.
        problem: what is wrong; empty: nothing.
    """

    def __init__(self, rig: Rig) -> None:
        assert rig.franka is not None
        assert rig.franka.hand is not None
        self._config, self._address = rig.franka.hand, rig.franka.address
        self._closed_m = rig.limits.gripper_width_min_m + _CLOSED_M
        self.width_m, self.grasped, self.problem = 0.0, False, ""
        self._gripper: Any = None
        self._wish: float | None = None
        self._told: float | None = None  # the last command's width
        self._running: Any = None
        self._abandoned: list[Any] = []
        self._halt = threading.Event()
        self._homing = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hand", daemon=True)

    def connect(self) -> None:
        """Open the connection, read the width, begin to listen; franky's exceptions pass."""
        self._open()
        if self._config.homing_at_connect:
            self._gripper.homing()
            self._read()
        self._thread.start()

    def want(self, width_m: float) -> None:
        """Be so wide; the newest wish counts."""
        self._wish = width_m

    def stop(self) -> None:
        """Fingers that move stand still; ones that hold something go on holding it."""
        self._wish = None
        self._halt.set()

    def home(self) -> None:
        """Find out how wide the fingers open, by moving them through their stroke."""
        self._homing.set()

    def close(self) -> None:
        """The thread ends; fingers stay as they are."""
        self._ending.set()
        self._thread.join(2.0)

    def _open(self) -> None:
        self._gripper = franky.Gripper(self._address)
        self._running = None
        self._read()

    def _read(self) -> None:
        state = self._gripper.state
        self.width_m = float(state.width)
        self.grasped = bool(state.is_grasped) and self.width_m > _CLOSED_M  # fingers that met hold nothing

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if self._gripper is None:
                    self._open()
                self._turn()
                self.problem = ""
            except BROKEN as error:
                self.problem, self._gripper, self._told = f"the hand does not answer ({error})", None, None
                self._ending.wait(_RETRY_S)
            except franky.Exception as error:  # a command that failed: the next one may work
                self.problem, self._running = f"the hand refused ({error})", None
                self._ending.wait(_RETRY_S)

    def _turn(self) -> None:
        self._read()
        if self._running is not None and self._running.wait(0):
            done, self._running = self._running, None
            done.get()
        if self._halt.is_set():
            self._halt.clear()
            if self._running is not None:
                self._abort()
                self._told = None
        if self._homing.is_set() and self._running is None:
            self._homing.clear()
            self._running, self._told = self._gripper.homing_async(), None
        wish = self._wish
        if wish is not None and (self._told is None or abs(wish - self._told) > _SAME_M):
            self._heed(wish)
        time.sleep(_NAP_S)

    def _abort(self) -> None:
        """End the running command."""
        self._gripper.stop()
        if not self._running.wait(_ABORT_S):
            self._abandoned.append(self._running)  # franky-sim never answers it, and freeing it would wait for that
        self._running = None

    def _heed(self, wish: float) -> None:
        if self._running is not None:
            return
        speed = self._config.speed_m_s
        if wish <= self._closed_m:
            self._running = self._gripper.grasp_async(0.0, speed, self._config.force_n, _FULL_M, _FULL_M)
        else:
            self._running = self._gripper.move_async(wish, speed)
        self._told = wish
