"""A camera read in a thread of its own, and connected again where it was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

from robot_learning.drivers.interfaces import Camera, CameraFrame
from robot_learning.errors import UserError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 5.0


class CameraReader:
    """Delivers every frame; while the camera is gone, tries again and again, ever more rarely.

    Args:
        deliver: called with each frame, in the reader's thread.
        lost: called with why there are no frames; empty: there are again.
    """

    def __init__(
        self, camera: Camera, deliver: Callable[[CameraFrame], None], lost: Callable[[str], None],
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:  # fmt: skip
        self._camera, self._deliver, self._lost = camera, deliver, lost
        self._first_wait_s = first_wait_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.reconnections = 0

    def begin(self) -> None:
        """Start the thread; the camera is connected already."""
        self._thread.start()

    def end(self) -> None:
        """End after the frame that is being read, and release the camera."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._camera.disconnect()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                frame = self._camera.read()
            except UserError as error:
                self._lost(str(error))
                self._reconnect()
            else:
                self._deliver(frame)

    def _reconnect(self) -> None:
        wait = self._first_wait_s
        while not self._ending.wait(wait):
            try:
                self._camera.disconnect()
                self._camera.connect()
            except UserError as error:
                self._lost(str(error))
                wait = min(2 * wait, _LONGEST_WAIT_S)
                continue
            self.reconnections += 1
            self._lost("")
            return
