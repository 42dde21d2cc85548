"""Recordings of a RealSense that is not there, made by librealsense's own software device and recorder."""

import numpy as np

from robot_learning.drivers.cameras.realsense import RealSenseCamera
from robot_learning.drivers.cameras.synthetic import Images, Synthetic, record
from robot_learning.drivers.interfaces import CameraFrame, CameraLost
from robot_learning.rig_parts.cameras import CameraConfig

SMALL = {"width_px": 64, "height_px": 48, "rate_hz": 30}


def make_recording(path, seconds, **device) -> Synthetic:
    """Write a .db3 of `seconds`; keywords as of `Synthetic`, small by default. Returns the device that it is of."""
    made = Synthetic(**SMALL | device)
    record(path, seconds, made)
    return made


def camera_of(path, clock, **config) -> RealSenseCamera:
    """Our driver on a recording, not yet connected."""
    section = {"type": "realsense", "file": str(path), **SMALL} | config
    return RealSenseCamera("front", CameraConfig.model_validate(section), clock)


def numbered(device: Synthetic, number: int) -> Images:
    """Pictures that tell which frame they are of: colour is n, depth 1000 + n counts, infrared n and n + 100."""
    shape = (device.height_px, device.width_px)
    sides = np.stack([np.full(shape, number % 100 + extra, np.uint8) for extra in (0, 100)])
    return Images(np.full((*shape, 3), number % 250, np.uint8), np.full(shape, 1000 + number, np.uint16), sides)


def all_frames(camera) -> tuple[list[CameraFrame], str]:
    """Frames until there are no more, and why."""
    frames = []
    while True:
        try:
            frames.append(camera.read())
        except CameraLost as error:
            return frames, str(error)
