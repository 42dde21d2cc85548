"""Which RealSense devices there are, and whether one offers what a rig asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from robot_learning.errors import ConfigError, UserError, closest
from robot_learning.rig_parts.cameras import CameraConfig

INSTALL = 'pip install "robot_learning[realsense]" (on Linux it needs libusb: apt-get install libusb-1.0-0)'


def library() -> Any:
    """The module pyrealsense2; ConfigError with how to get it where it does not load."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise ConfigError(f"RealSense cameras need pyrealsense2 ({error}): {INSTALL}.") from None
    return pyrealsense2


@dataclass(frozen=True)
class Found:
    """A device that is there.

    Attributes:
        usb: version of the connection, such as `3.2`; empty where the device does not say.
        newest_firmware: what librealsense recommends; empty where it does not say.
    """

    serial: str
    name: str
    firmware: str = ""
    newest_firmware: str = ""
    usb: str = ""

    def __str__(self) -> str:
        return f"{self.serial} ({self.name}{f', USB {self.usb}' if self.usb else ''})"


def about(device: Any) -> Found:
    """What a librealsense device says of itself."""
    info = library().camera_info
    keys = (
        info.serial_number, info.name, info.firmware_version, info.recommended_firmware_version,
        info.usb_type_descriptor,
    )  # fmt: skip
    return Found(*(device.get_info(key) if device.supports(key) else "" for key in keys))


def connected(context: Any) -> list[Any]:
    """All devices of a librealsense context."""
    return list(context.query_devices())


def choose(camera: str, serial: str, devices: Iterable[Any]) -> Any:
    """The device with a serial number, or the only one where none is given.

    Raises:
        UserError: it is not there, none is, or there are several to choose from.
    """
    by_serial = {about(device).serial: device for device in devices}
    present = ", ".join(str(about(device)) for device in by_serial.values()) or "none"
    if serial:
        if serial in by_serial:
            return by_serial[serial]
        raise UserError(
            f"the camera '{camera}': no RealSense with serial number {serial} is connected"
            f"{closest(serial, by_serial)} Present: {present}. Plug it in, or correct cameras.{camera}.serial."
        )
    if not by_serial:
        raise UserError(
            f"the camera '{camera}': no RealSense is connected; plug it in. If it is, see whether the udev rules are "
            "installed and no other program has it open (docs/hardware/realsense.md)."
        )
    if len(by_serial) > 1:
        raise ConfigError(
            f"the camera '{camera}': several RealSense are connected; give cameras.{camera}.serial, one of: {present}."
        )
    return next(iter(by_serial.values()))


@dataclass(frozen=True)
class Wanted:
    """One image stream that a rig asks for.

    Attributes:
        formats: librealsense's, the best first.
        keys: of the rig that decide its size.
    """

    name: str
    stream: Any
    index: int
    formats: tuple[Any, ...]
    width: int
    height: int
    rate: int
    keys: str


def wanted(config: CameraConfig) -> list[Wanted]:
    """The streams that a camera's section asks for: colour, depth, left and right infrared."""
    rs = library()
    width, height, rate = config.width_px, config.height_px, int(config.rate_hz)
    formats = rs.format.rgb8, rs.format.bgr8
    found = [Wanted("colour", rs.stream.color, 0, formats, width, height, rate, "width_px, height_px, rate_hz")]
    width, height = config.depth_width_px or width, config.depth_height_px or height
    keys = "depth_width_px, depth_height_px, rate_hz"
    if config.depth:
        found.append(Wanted("depth", rs.stream.depth, 0, (rs.format.z16,), width, height, rate, keys))
    if config.infrared:
        for side, index in (("left", 1), ("right", 2)):
            name = f"infrared ({side})"
            found.append(Wanted(name, rs.stream.infrared, index, (rs.format.y8,), width, height, rate, keys))
    return found


def profiles(device: Any) -> list[Any]:
    """All video modes that a device offers."""
    all_modes = [mode for sensor in device.query_sensors() for mode in sensor.get_stream_profiles()]
    return [mode.as_video_stream_profile() for mode in all_modes if mode.is_video_stream_profile()]


def format_for(camera: str, want: Wanted, device: Any) -> Any:
    """The format in which a device offers what is wanted.

    Raises:
        ConfigError: it does not; the message lists what it offers.
    """
    modes = [
        mode for mode in profiles(device)
        if mode.stream_type() == want.stream and mode.format() in want.formats
        and mode.stream_index() == want.index
    ]  # fmt: skip
    fitting = [m.format() for m in modes if (m.width(), m.height(), m.fps()) == (want.width, want.height, want.rate)]
    if fitting:
        return min(fitting, key=want.formats.index)
    found = about(device)
    slow = (
        f" It is connected by USB {found.usb}, which offers less: use a USB 3 port and cable." if _slow(found) else ""
    )
    raise ConfigError(
        f"the camera '{camera}', {found}, has no {want.name} of {want.width}x{want.height} at {want.rate} Hz; "
        f"it offers {_offers(modes)}. Correct {want.keys} of cameras.{camera}.{slow}"
    )


def _slow(found: Found) -> bool:
    return found.usb.startswith(("1", "2"))


def _offers(modes: list[Any]) -> str:
    """`640x480 at 15, 30 Hz; ...`."""
    rates: dict[tuple[int, int], set[int]] = {}
    for mode in modes:
        rates.setdefault((mode.width(), mode.height()), set()).add(mode.fps())
    lines = [f"{w}x{h} at {', '.join(map(str, sorted(hz)))} Hz" for (w, h), hz in sorted(rates.items())]
    return "; ".join(lines) or "none at all"


def usb_warning(found: Found) -> str:
    """What a slow connection means; empty for a quick one."""
    return f"connected by USB {found.usb}: use a USB 3 port and cable" if _slow(found) else ""


_CONVERT = "pyrealsense2's context().convert_bag_to_db3(old, new)"
_NO_RECORDING = f"it is no .db3 recording of librealsense; {_CONVERT} makes one of an old .bag"
_REMEDIES = {
    "busy": "another program has it open: close the RealSense Viewer and other nodes",
    "power state": "the udev rules are missing, or another program has it open: docs/hardware/realsense.md",
    "permission": "install the udev rules and plug it in again: docs/hardware/realsense.md",
    "resolve requests": "its streams don't go together at this rate and connection: lower the rate, or use USB 3",
    "ros reader": _NO_RECORDING,
    "not a database": _NO_RECORDING,
}


def explained(camera: str, where: str, error: RuntimeError) -> UserError:
    """librealsense's own words about what it can't open, and what usually mends it."""
    reason = str(error).rpartition("Reason: ")[2]
    remedies = [remedy for word, remedy in _REMEDIES.items() if word in reason.lower()]
    advice = remedies[0] if remedies else "see docs/hardware/realsense.md, What each error means"
    return UserError(f"the camera '{camera}': librealsense can't open {where}: {reason}; {advice}.")
