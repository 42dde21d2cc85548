"""Cameras by the name that a rig file gives: `cameras.<name>.type`."""

from __future__ import annotations

import importlib

from robot_learning.clock import Clock
from robot_learning.drivers.interfaces import Camera
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.rig_parts.cameras import CameraConfig

# type: module and class, which takes the camera's name, its part of the rig, and a clock
CAMERAS = {
    "pattern": ("robot_learning.drivers.cameras.pattern", "PatternCamera"),
    "realsense": ("robot_learning.drivers.cameras.realsense", "RealSenseCamera"),
    "uvc": ("robot_learning.drivers.cameras.uvc", "UvcCamera"),
    "video": ("robot_learning.drivers.cameras.video", "VideoCamera"),
}
_SIMULATED = "mujoco"


def make_camera(name: str, config: CameraConfig, clock: Clock) -> Camera:
    """A rig's camera, not yet connected.

    Raises:
        ConfigError: it is a simulated one.
        UnknownName: nobody drives such a camera.
    """
    if config.type == _SIMULATED:
        raise ConfigError(f"the camera '{name}' is simulated: its camera is in sim_node; start that for this rig.")
    if config.type not in CAMERAS:
        raise unknown_name("camera type", config.type, [*CAMERAS, _SIMULATED])
    module, cls = CAMERAS[config.type]
    camera: Camera = getattr(importlib.import_module(module), cls)(name, config, clock)
    return camera
