"""A webcam, or any camera that Linux shows as /dev/video*, through OpenCV."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from robot_learning.clock import NS_PER_S, Clock
from robot_learning.drivers.cameras.opencv import OpenCvCamera, opencv
from robot_learning.drivers.interfaces import CameraFrame, CameraLost
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig_parts.cameras import CameraConfig

_RATE_TOLERANCE = 0.02
_PLAUSIBLE_NS = (-NS_PER_S // 100, NS_PER_S)  # age of a frame by its V4L2 stamp
_MANUAL, _AUTOMATIC = 1, 3  # V4L2's exposure_auto: manual, and aperture priority
_EXPOSURE_US = 100.0  # unit of V4L2's exposure_time_absolute


class UvcCamera(OpenCvCamera):
    """Colour frames of a V4L2 device.

    Frames are stamped by the kernel (when their first packet came), where the driver stamps with the monotonic clock,
    as Linux's uvcvideo does; else by arrival, and `domain` says which. OpenCV passes on no frame numbers: holes in
    `sequence` are told from the kernel's stamps, none from arrival.
    """

    def __init__(self, name: str, config: CameraConfig, clock: Clock) -> None:
        super().__init__(name, config, clock)
        self._domain = ""
        self._sequence, self._missing = -1, 0
        self._last_ns: int | None = None
        device = config.device
        self._device = int(device) if str(device).isdecimal() else str(device)

    def connect(self) -> None:
        """Open and set the device; UserError where it is not there, ConfigError where it does not do what is asked."""
        cv2 = opencv()
        self.disconnect()
        self._check_path()
        self._capture = self._open(cv2)
        if not self._capture.isOpened():
            self._capture = None
            raise UserError(
                f"the camera '{self.name}': {self._device} can't be opened as a camera. Another program may have it, "
                "or it is a metadata node: a camera's pictures are on the first of its /dev/video*."
            )
        try:
            self._set(cv2)
        except UserError:
            self.disconnect()
            raise
        self._last_ns = None

    def _check_path(self) -> None:
        path = Path(f"/dev/video{self._device}" if isinstance(self._device, int) else self._device)
        if not path.exists():
            present = ", ".join(str(p) for p in cameras_present()) or "none"
            raise UserError(
                f"the camera '{self.name}': there is no {path}. Present: {present}. "
                f"Plug it in, or correct cameras.{self.name}.device."
            )
        if not os.access(path, os.R_OK | os.W_OK):
            raise UserError(
                f"the camera '{self.name}': {path} may not be opened by you: sudo usermod -aG video $USER, "
                "then log in again."
            )

    def _open(self, cv2: Any) -> Any:
        return cv2.VideoCapture(self._device, cv2.CAP_V4L2)

    def _set(self, cv2: Any) -> None:
        """Set everything and see whether the device took it: V4L2 takes the nearest that it has, and says nothing."""
        config, set_to = self._config, self._capture.set
        if config.fourcc:  # first: sizes and rates depend on it
            set_to(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*config.fourcc))
            code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
            got = "".join(chr(code >> 8 * i & 0xFF) for i in range(4))
            if got != config.fourcc:
                raise self._refused("fourcc", config.fourcc, got)
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, config.width_px), (cv2.CAP_PROP_FRAME_HEIGHT, config.height_px),
            (cv2.CAP_PROP_FPS, config.rate_hz), (cv2.CAP_PROP_BUFFERSIZE, 2), (cv2.CAP_PROP_CONVERT_RGB, 1),
        ):  # fmt: skip
            set_to(prop, value)
        size = tuple(int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if size != (config.width_px, config.height_px):
            wanted = f"{config.width_px}x{config.height_px}"
            raise self._refused("width_px, height_px", wanted, f"{size[0]}x{size[1]}")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        if abs(rate - config.rate_hz) > _RATE_TOLERANCE * config.rate_hz:
            raise self._refused("rate_hz", f"{config.rate_hz:g}", f"{rate:g}")
        self._adjust(cv2, "exposure_us", config.exposure_us, cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_EXPOSURE,
                     (_MANUAL, _AUTOMATIC), _EXPOSURE_US)  # fmt: skip
        self._adjust(cv2, "white_balance_k", config.white_balance_k, cv2.CAP_PROP_AUTO_WB,
                     cv2.CAP_PROP_WB_TEMPERATURE, (0, 1))  # fmt: skip
        self._adjust(cv2, "gain", config.gain, None, cv2.CAP_PROP_GAIN)

    def _adjust(
        self, cv2: Any, key: str, value: float | str | None, automatic: Any, prop: Any,
        modes: tuple[int, int] = (0, 1), unit: float = 1.0,
    ) -> None:  # fmt: skip
        """Set a value, or have the device set it by itself; `modes` are manual and automatic."""
        if value is None:
            return
        if automatic is not None:
            mode = modes[value == "auto"]
            if not self._capture.set(automatic, mode) or int(self._capture.get(automatic)) != mode:
                raise self._refused(key, "auto" if value == "auto" else "a fixed value", "its own way")
        if value == "auto":
            return
        wanted = float(value) / unit
        taken = self._capture.set(prop, wanted)
        got = self._capture.get(prop)
        if not taken or abs(got - wanted) > max(1.0, 0.02 * wanted):
            raise self._refused(key, f"{value:g}", f"{got * unit:g}")

    def _refused(self, key: str, wanted: str, got: str) -> ConfigError:
        return ConfigError(
            f"the camera '{self.name}' ({self._device}) was asked for {key} = {wanted} and keeps to {got}; "
            f"`v4l2-ctl --device {self._device} --list-formats-ext --list-ctrls` lists what it offers. "
            f"Correct cameras.{self.name}."
        )

    def read(self) -> CameraFrame:
        """The next frame; blocks until there is one. Raises CameraLost where none comes."""
        if self._capture is None:
            raise CameraLost(f"the camera '{self.name}' is not connected.")
        cv2 = opencv()
        came, picture = self._capture.read()
        if not came or picture is None:
            raise CameraLost(f"the camera '{self.name}' ({self._device}) gives no more frames; was it unplugged?")
        arrived = self._clock.now_ns()
        stamp = self._stamp(self._capture.get(cv2.CAP_PROP_POS_MSEC), arrived)
        return CameraFrame(
            stamp, self._number(stamp), cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), None, None, self._domain
        )

    def _stamp(self, position_ms: float, arrived_ns: int) -> int:
        """When a frame came to the kernel, in our time [ns], where its stamp is the monotonic clock's."""
        age = time.monotonic_ns() - round(position_ms * 1e6)
        if position_ms > 0 and _PLAUSIBLE_NS[0] <= age <= _PLAUSIBLE_NS[1]:
            self._domain = "v4l2"
            return arrived_ns - max(0, age)
        self._domain = "arrival"
        return arrived_ns

    def _number(self, stamp_ns: int) -> int:
        """One more than the last frame's, and one for each period in which none came."""
        step = 1
        if self._last_ns is not None and self._domain == "v4l2":
            step = max(1, round((stamp_ns - self._last_ns) * self._config.rate_hz / NS_PER_S))
            self._missing += step - 1
        self._last_ns = stamp_ns
        self._sequence += step
        return self._sequence

    def diagnostics(self) -> dict[str, str]:
        """What its stamps are, and how many frames are missing by them."""
        values = {
            "device": str(self._device),
            "timestamp_domain": self._domain,
            "frames": str(self._sequence + 1 - self._missing),
            "missing": str(self._missing),
            "intrinsics": "a guess: calibrate before using them",
        }
        if self._domain == "arrival":
            values["warning"] = "stamped by arrival: the device's driver gives no monotonic stamps"
        return values


def cameras_present() -> list[Path]:
    """The V4L2 devices of this machine, by number."""
    return sorted(Path("/dev").glob("video*"), key=lambda p: (len(p.name), p.name))
