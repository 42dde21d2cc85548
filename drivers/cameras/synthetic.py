"""A RealSense recording without a RealSense, for people without the camera, and for tests.

`python -m robot_learning.drivers.cameras.synthetic out.db3 --seconds 60 --width 640 --height 480 --rate 30`

librealsense's own software device and recorder write the file; its pipeline plays it like one of a real camera
(`type: realsense` with `file: out.db3`). What it shows: a box that moves in front of a striped wall, in colour, depth
and infrared of cameras that are as far apart as a D435's, so that depth has to be aligned to fit the colour image.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.cameras.realsense_device import library
from robot_learning.errors import UserError

NEAR_M, FAR_M, BOX_M = 0.6, 1.2, 0.12  # the box's distance, the wall's, half the box's side
_SWING_M, _SWING_S = 0.15, 4.0  # how far the box moves to either side, and how long it takes
_PIXELS_PER_S = 40e6  # that the recorder's PNG compression surely keeps up with


@dataclass(frozen=True)
class Images:
    """What one set of frames shows.

    Attributes:
        colour: (H, W, 3) uint8.
        depth: (H, W) uint16 in the device's unit.
        infrared: (2, H, W) uint8.
    """

    colour: np.ndarray
    depth: np.ndarray
    infrared: np.ndarray


@dataclass(frozen=True)
class Synthetic:
    """A device that is not there.

    Attributes:
        focal: of colour and of depth and infrared, in image widths.
        unit_m: depth of one count [m].
        to_colour_m: (3,) where the depth camera's origin is in the colour camera's frame.
        baseline_m: between the infrared cameras.
        distortion: (5,) Brown-Conrady of the colour image.
        start_ms: the device's clock at its first frame.
        exposure_ms: from mid-exposure to the device's stamp, told as metadata.
        missing: numbers of frames that the device loses.
        depth_missing: numbers of those of which it loses depth and infrared only.
        domain: of the stamps, as librealsense names it.
    """

    width_px: int = 640
    height_px: int = 480
    rate_hz: int = 30
    focal: tuple[float, float] = (0.95, 0.6)
    unit_m: float = 0.001
    to_colour_m: tuple[float, float, float] = (0.015, 0.0, 0.0)
    baseline_m: float = 0.05
    distortion: Sequence[float] = (0.0,) * 5
    serial: str = "000000000001"
    name: str = "Synthetic D435"
    usb: str = "3.2"
    start_ms: float = 1000.0
    exposure_ms: float = 0.0
    missing: frozenset[int] = frozenset()
    depth_missing: frozenset[int] = frozenset()
    domain: str = "hardware_clock"
    draw: Callable[[Synthetic, int], Images] | None = field(default=None, repr=False)

    def stamp_ms(self, number: int) -> float:
        """What the device stamps a frame with [ms]."""
        return self.start_ms + number * 1e3 / self.rate_hz


def record(path: str | Path, seconds: float, device: Synthetic | None = None) -> Path:
    """Write a recording; returns its path.

    Raises:
        UserError: there is such a file already, or librealsense did not write all of it.
    """
    device, path = device or Synthetic(), Path(path)
    if path.suffix != ".db3":
        raise UserError(f"a recording's name ends with .db3, got {path}.")
    if path.exists():
        raise UserError(f"there is a file {path} already; remove it, or give another name.")
    numbers = [n for n in range(round(seconds * device.rate_hz)) if n not in device.missing]
    if not numbers or min(device.width_px, device.height_px) < 1:
        size = f"{device.width_px}x{device.height_px} at {device.rate_hz} Hz"
        raise UserError(f"{seconds:g} s of {size} have no pictures; make it longer or larger.")
    part = path.with_name(f"{path.stem}.part.db3")  # what was interrupted must not look whole
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        SoftwareDevice(device).shoot(part, numbers)
        _retime(part, device, numbers)
        return part.replace(path)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} can't be written: {error}.") from None
    finally:
        part.unlink(missing_ok=True)


def picture(device: Synthetic, number: int) -> Images:
    """The box before the wall, as each camera of the device sees it at a frame."""
    swing = _SWING_M * np.sin(2 * np.pi * number / device.rate_hz / _SWING_S)
    x0, depth_x = 0.0, device.to_colour_m[0]  # of the cameras, in the colour camera's frame
    height, width = device.height_px, device.width_px
    colour_f, depth_f = (focal * width for focal in device.focal)
    stripes = 127.5 + 100 * np.sin(_across(device, colour_f, FAR_M, x0)[:, None] * 60 + np.array([0.0, 2.1, 4.2]))
    colour = np.broadcast_to(stripes.astype(np.uint8), (height, width, 3)).copy()
    colour[_box(device, colour_f, swing - x0)] = (230, 60, 40)
    depth = np.full((height, width), round(FAR_M / device.unit_m), np.uint16)
    depth[_box(device, depth_f, swing - depth_x)] = round(NEAR_M / device.unit_m)
    sides = []
    for x in (depth_x, depth_x + device.baseline_m):
        grey = 127.5 + 100 * np.sin(_across(device, depth_f, FAR_M, x) * 60)
        side = np.broadcast_to(grey.astype(np.uint8), (height, width)).copy()
        side[_box(device, depth_f, swing - x)] = 200
        sides.append(side)
    return Images(colour, depth, np.stack(sides))


def _across(device: Synthetic, focal: float, far_m: float, x_m: float) -> np.ndarray:
    """(W,) where each column's ray meets a wall, in the colour camera's frame [m]."""
    return (np.arange(device.width_px) - device.width_px / 2) * far_m / focal + x_m


def _box(device: Synthetic, focal: float, x_m: float) -> tuple[slice, slice]:
    """Rows and columns of the box, whose middle is x_m [m] to the right of a camera."""
    width, height, scale = device.width_px, device.height_px, focal / NEAR_M

    def pixels(low: float, high: float, middle: float, size: int) -> slice:
        return slice(*(int(np.clip(np.ceil(v * scale + middle), 0, size)) for v in (low, high)))

    return pixels(-BOX_M, BOX_M, height / 2, height), pixels(x_m - BOX_M, x_m + BOX_M, width / 2, width)


class SoftwareDevice:
    """librealsense's software device of a synthetic one."""

    def __init__(self, device: Synthetic) -> None:
        rs = self._rs = library()
        self._of, self._draw = device, device.draw or picture
        self.device = rs.software_device()
        info = rs.camera_info
        for key, text in (
            (info.name, device.name), (info.serial_number, device.serial), (info.product_line, "D400"),
            (info.usb_type_descriptor, device.usb), (info.firmware_version, "0.0.0.0"),
        ):  # fmt: skip
            self.device.register_info(key, text)
        self.stereo, self.rgb = self.device.add_sensor("Stereo Module"), self.device.add_sensor("RGB Camera")
        self.stereo.add_read_only_option(rs.option.depth_units, device.unit_m)
        self.stereo.add_read_only_option(rs.option.stereo_baseline, device.baseline_m * 1e3)
        no_bend = (0.0,) * 5
        colour_f, depth_f = device.focal
        left, right = (self._stream(self.stereo, rs.stream.infrared, i, rs.format.y8, depth_f, no_bend) for i in (1, 2))
        depth = self._stream(self.stereo, rs.stream.depth, 0, rs.format.z16, depth_f, no_bend)
        colour = self._stream(self.rgb, rs.stream.color, 0, rs.format.rgb8, colour_f, device.distortion)
        self.profiles = {"depth": depth, "left": left, "right": right, "colour": colour}
        x, y, z = device.to_colour_m
        for profile, shift in ((depth, 0.0), (left, 0.0), (right, device.baseline_m)):
            profile.register_extrinsics_to(colour, self._shifted(x + shift, y, z))
        depth.register_extrinsics_to(left, self._shifted(0.0, 0.0, 0.0))

    def _stream(self, sensor: Any, kind: Any, index: int, format: Any, focal: float, bend: Sequence[float]) -> Any:
        rs, of = self._rs, self._of
        stream, lens = rs.video_stream(), rs.intrinsics()
        lens.width, lens.height = of.width_px, of.height_px
        lens.ppx, lens.ppy = of.width_px / 2, of.height_px / 2
        lens.fx = lens.fy = focal * of.width_px
        lens.model, lens.coeffs = rs.distortion.brown_conrady, list(bend)
        stream.type, stream.index, stream.fmt, stream.uid = kind, index, format, 10 * kind.value + index
        stream.width, stream.height, stream.fps, stream.intrinsics = of.width_px, of.height_px, of.rate_hz, lens
        stream.bpp = {rs.format.z16: 2, rs.format.y8: 1, rs.format.rgb8: 3}[format]
        return sensor.add_video_stream(stream).as_video_stream_profile()

    def _shifted(self, x: float, y: float, z: float) -> Any:
        extrinsics = self._rs.extrinsics()
        extrinsics.rotation, extrinsics.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [x, y, z]
        return extrinsics

    def shoot(self, path: Path, numbers: Sequence[int]) -> None:
        """Feed the frames to a recorder, no quicker than it compresses them."""
        rs, of = self._rs, self._of
        recorder = rs.recorder(str(path), self.device)
        sensors, heard = recorder.query_sensors(), rs.frame_queue(1)
        for sensor in sensors:
            sensor.open(sensor.get_stream_profiles())
            sensor.start(heard)
        pause = 4 * of.width_px * of.height_px / _PIXELS_PER_S
        for number in numbers:
            self.feed(number)
            time.sleep(pause)
        for sensor in sensors:
            sensor.stop()
            sensor.close()
        del sensor, sensors, recorder  # which writes what is left

    def feed(self, number: int) -> None:
        """Give the sensors one set of frames."""
        images = self._draw(self._of, number)
        metadata, stamp_us = self._rs.frame_metadata_value, round(self._of.stamp_ms(number) * 1e3)
        for sensor in (self.stereo, self.rgb):
            sensor.set_metadata(metadata.actual_fps, 1000 * self._of.rate_hz)  # else librealsense guesses, and badly
            if self._of.exposure_ms:
                sensor.set_metadata(metadata.frame_timestamp, stamp_us)
                sensor.set_metadata(metadata.sensor_timestamp, stamp_us - round(self._of.exposure_ms * 1e3))
        if number not in self._of.depth_missing:
            self._send(self.stereo, "depth", images.depth, number)
            self._send(self.stereo, "left", images.infrared[0], number)
            self._send(self.stereo, "right", images.infrared[1], number)
        self._send(self.rgb, "colour", images.colour, number)

    def _send(self, sensor: Any, name: str, pixels: np.ndarray, number: int) -> None:
        frame = self._rs.software_video_frame()
        frame.pixels = np.ascontiguousarray(pixels)
        frame.stride, frame.bpp = pixels[0].nbytes, pixels[0, 0].nbytes
        frame.timestamp, frame.frame_number = self._of.stamp_ms(number), number
        frame.domain = getattr(self._rs.timestamp_domain, self._of.domain)
        frame.depth_units, frame.profile = self._of.unit_m, self.profiles[name]
        sensor.on_video_frame(frame)


def _retime(path: Path, device: Synthetic, numbers: Sequence[int]) -> None:
    """Have the frames played at their rate. The recorder noted when each was fed, which was as quickly as it could.

    A .db3 is rosbag2's SQLite format: a table of topics, one of messages with the time of each.
    """
    frames = "SELECT id, name FROM topics WHERE name LIKE '%/image/%'"
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        for topic, name in file.execute(frames).fetchall():
            mine = [n for n in numbers if "Color" in name or n not in device.depth_missing]
            rows = file.execute(
                "SELECT id FROM messages WHERE topic_id = ? ORDER BY timestamp, id", (topic,)
            ).fetchall()
            if len(rows) != len(mine):
                raise UserError(
                    f"librealsense's recorder wrote {len(rows)} of {len(mine)} messages of {name} to {path}."
                )
            times = [(round(n * NS_PER_S / device.rate_hz), row[0]) for n, row in zip(mine, rows, strict=True)]
            file.executemany("UPDATE messages SET timestamp = ? WHERE id = ?", times)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m robot_learning.drivers.cameras.synthetic", description=__doc__)
    parser.add_argument("path", type=Path, help="file to write, NAME.db3")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--width", type=int, default=640, help="[px]")
    parser.add_argument("--height", type=int, default=480, help="[px]")
    parser.add_argument("--rate", type=int, default=30, help="[Hz]")
    parser.add_argument("--serial", default=Synthetic.serial)
    options = parser.parse_args(arguments)
    device = Synthetic(options.width, options.height, options.rate, serial=options.serial)
    try:
        record(options.path, options.seconds, device)
    except UserError as error:
        print(f"synthetic: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("synthetic: interrupted; nothing was written", file=sys.stderr)
        return 130
    print(f"{options.path}: {options.seconds:g} s of {options.width}x{options.height} at {options.rate} Hz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
