"""Whether a rig's cameras are there, for `robot-learning doctor --rig`. It opens nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from robot_learning.doctor import Finding
from robot_learning.drivers.cameras import realsense_device as devices
from robot_learning.drivers.cameras.opencv import INSTALL, opencv
from robot_learning.drivers.cameras.uvc import cameras_present
from robot_learning.errors import ConfigError, closest
from robot_learning.rig import Rig
from robot_learning.rig_parts.cameras import CameraConfig

_UDEV = "install librealsense's udev rules (docs/hardware/realsense.md), then plug it in again"


def findings(rig: Rig) -> Iterator[Finding]:
    """The library of each kind of camera that the rig has, the devices that are there, and those that are missing."""
    by_type: dict[str, dict[str, CameraConfig]] = {}
    for name, camera in rig.cameras.items():
        by_type.setdefault(camera.type, {})[name] = camera
    if "realsense" in by_type:
        yield from _realsense(by_type["realsense"])
    if {"uvc", "video"} & by_type.keys():
        yield _opencv()
    for name, camera in by_type.get("uvc", {}).items():
        yield _uvc(name, camera)
    for name, camera in by_type.get("video", {}).items():
        yield _file(name, camera)


def _realsense(cameras: dict[str, CameraConfig]) -> Iterator[Finding]:
    try:
        rs = devices.library()
    except ConfigError as error:
        yield Finding("FAIL", "pyrealsense2", str(error), devices.INSTALL)
        return
    yield Finding("ok", "pyrealsense2", f"librealsense {rs.__full_version__}")
    live = {name: camera for name, camera in cameras.items() if not camera.file}
    for name, camera in cameras.items():
        if camera.file:
            yield _file(name, camera)
    twice = [serial for serial, count in Counter(c.serial for c in live.values()).items() if count > 1]
    for serial in twice:
        names = ", ".join(name for name, camera in live.items() if camera.serial == serial)
        detail = f"{names} have the same serial number '{serial}'"
        yield Finding("FAIL", "RealSense", detail, "give each camera its own serial")
    if not live:
        return
    try:
        present = [devices.about(device) for device in devices.connected(rs.context())]
    except RuntimeError as error:
        yield Finding("FAIL", "RealSense", f"librealsense can't list devices: {error}", _UDEV)
        return
    for found in present:
        yield _device(found)
    yield from _missing(live, present)


def _device(found: devices.Found) -> Finding:
    """A connected device: firmware and connection."""
    what, detail = (
        f"RealSense {found.serial}",
        f"{found.name}, firmware {found.firmware or '?'}, USB {found.usb or '?'}",
    )
    if warning := devices.usb_warning(found):
        return Finding("FAIL", what, detail, warning)
    if _older(found.firmware, found.newest_firmware):
        remedy = f"rs-fw-update -s {found.serial} -f FILE, or the RealSense Viewer: to {found.newest_firmware}"
        return Finding("--", what, f"{detail}; librealsense recommends {found.newest_firmware}", remedy)
    return Finding("ok", what, detail)


def _missing(live: dict[str, CameraConfig], present: list[devices.Found]) -> Iterator[Finding]:
    """Whether each camera of the rig is among the devices."""
    serials = [found.serial for found in present]
    for name, camera in live.items():
        what = f"camera {name}"
        if camera.serial in serials:
            yield Finding("ok", what, f"RealSense {camera.serial}")
        elif camera.serial:
            near = closest(camera.serial, serials).removesuffix(".")
            detail = f"no RealSense with serial number {camera.serial} is connected{near}; present: {_list(serials)}"
            yield Finding("FAIL", what, detail, f"plug it in, or correct cameras.{name}.serial; if it is in: {_UDEV}")
        elif len(serials) == 1:
            yield Finding("ok", what, f"the only RealSense, {serials[0]}", f'cameras.{name}.serial: "{serials[0]}"')
        elif serials:
            yield Finding("FAIL", what, f"several RealSense: {_list(serials)}", f"give cameras.{name}.serial")
        else:
            yield Finding("FAIL", what, "no RealSense is connected", f"plug it in; if it is: {_UDEV}")


def _uvc(name: str, camera: CameraConfig) -> Finding:
    """Whether a V4L2 device is there and may be opened."""
    what = f"camera {name}"
    device = str(camera.device)
    path = Path(f"/dev/video{device}" if device.isdecimal() else device)
    if not path.exists():
        present = _list([str(p) for p in cameras_present()])
        remedy = f"plug it in, or correct cameras.{name}.device"
        return Finding("FAIL", what, f"there is no {path}; present: {present}", remedy)
    if not os.access(path, os.R_OK | os.W_OK):
        remedy = "sudo usermod -aG video $USER, then log in again"
        return Finding("FAIL", what, f"{path} may not be opened by you", remedy)
    return Finding("ok", what, f"{path} -> {path.resolve()}")


def _file(name: str, camera: CameraConfig) -> Finding:
    path = Path(camera.file).expanduser().resolve()
    if path.is_file():
        return Finding("ok", f"camera {name}", f"plays {path}")
    make = ""
    if camera.type == "realsense":
        size = f"--width {camera.width_px} --height {camera.height_px} --rate {camera.rate_hz:g}"
        make = f", or make one: python -m robot_learning.drivers.cameras.synthetic {camera.file} {size}"
    return Finding("FAIL", f"camera {name}", f"there is no file {path}", f"correct cameras.{name}.file{make}")


def _opencv() -> Finding:
    try:
        return Finding("ok", "OpenCV", opencv().__version__)
    except ConfigError as error:
        return Finding("FAIL", "OpenCV", str(error), INSTALL)


def _older(version: str, than: str) -> bool:
    """Whether a firmware version such as 5.16.0.1 is older than another; unknown ones are not."""
    try:
        return tuple(map(int, version.split("."))) < tuple(map(int, than.split(".")))
    except ValueError:
        return False


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
