"""A video file in place of a camera."""

from __future__ import annotations

from pathlib import Path

from robot_learning.clock import NS_PER_S, Clock
from robot_learning.drivers.cameras.opencv import OpenCvCamera, opencv
from robot_learning.drivers.interfaces import CameraFrame, CameraLost
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.cameras import CameraConfig

_RATE_TOLERANCE = 0.01


class VideoCamera(OpenCvCamera):
    """Plays a file in real time: each frame when it is due, those missed meanwhile are holes in the count.

    Frames are stamped with when they are due, not with when they were filmed.
    """

    def __init__(self, name: str, config: CameraConfig, clock: Clock) -> None:
        super().__init__(name, config, clock)
        self._path = Path(config.file).expanduser().resolve()
        self._sequence = -1

    def connect(self) -> None:
        """Open the file at its beginning; ConfigError where it is not what the rig says."""
        cv2, config = opencv(), self._config
        self.disconnect()
        if not self._path.is_file():
            raise ConfigError(
                f"the camera '{self.name}': there is no file {self._path}; correct cameras.{self.name}.file."
            )
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise ConfigError(f"the camera '{self.name}': {self._path} is no video that OpenCV can read.")
        size = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate = capture.get(cv2.CAP_PROP_FPS)
        if size != (config.width_px, config.height_px):
            capture.release()
            raise ConfigError(
                f"the camera '{self.name}': {self._path} is {size[0]}x{size[1]}, the rig says "
                f"{config.width_px}x{config.height_px}; correct width_px, height_px, or scale the file: "
                f"ffmpeg -i IN -vf scale={config.width_px}:{config.height_px} OUT."
            )
        if config.play_at == "file" and abs(rate - config.rate_hz) > _RATE_TOLERANCE * config.rate_hz:
            capture.release()
            raise ConfigError(
                f"the camera '{self.name}': {self._path} has {rate:g} frames per second, the rig says rate_hz: "
                f"{config.rate_hz:g}; correct it, or give play_at: rig to play it faster or slower."
            )
        self._capture = capture
        self._first, self._start_ns = self._sequence + 1, self._clock.now_ns()

    def read(self) -> CameraFrame:
        """The newest frame that is due; waits for the next one where it was read. CameraLost at the file's end."""
        if self._capture is None:
            raise CameraLost(f"the camera '{self.name}' is not connected.")
        cv2, rate = opencv(), self._config.rate_hz
        due = self._first + int((self._clock.now_ns() - self._start_ns) * rate // NS_PER_S)
        while True:
            self._grab()
            self._sequence += 1
            if self._sequence >= due:
                break
        decoded, picture = self._capture.retrieve()
        if not decoded:
            raise CameraLost(f"the camera '{self.name}': {self._path} can't be decoded at frame {self._sequence}.")
        stamp = self._start_ns + round((self._sequence - self._first) * NS_PER_S / rate)
        self._clock.sleep_until(stamp)
        return CameraFrame(stamp, self._sequence, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), None, None, "file")

    def _grab(self) -> None:
        """Go to the next frame, from the last to the first where it loops."""
        if self._capture.grab():
            return
        if self._config.loop:
            self._capture.release()
            self._capture = opencv().VideoCapture(str(self._path))
            if self._capture.grab():
                return
        raise CameraLost(
            f"the camera '{self.name}': {self._path} is at its end; "
            f"cameras.{self.name}.loop: true plays it again and again."
        )
