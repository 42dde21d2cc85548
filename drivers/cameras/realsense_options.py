"""A RealSense device's settings: checked against what it allows, set, and read back."""

from __future__ import annotations

from typing import Any

from robot_learning.drivers.cameras.realsense_device import library
from robot_learning.errors import ConfigError, closest
from robot_learning.rig_parts.cameras import CameraConfig

_SYNC = {"off": 0, "master": 1, "slave": 2, "full_slave": 3}  # inter_cam_sync_mode of D400 devices
_COLOUR_EXPOSURE_US = 100.0  # unit of a UVC camera's exposure; the stereo module's is the microsecond


def sensor_of(device: Any, stream: Any) -> Any | None:
    """The sensor that delivers a kind of stream. Colour may come from the stereo module, as in a D405."""
    for sensor in device.query_sensors():
        if any(mode.stream_type() == stream for mode in sensor.get_stream_profiles()):
            return sensor
    return None


def apply(camera: str, config: CameraConfig, device: Any) -> None:
    """Set what a camera's section says; what it does not say stays as the device has it.

    Raises:
        ConfigError: the device does not have a setting, or not that value; the message says what it allows.
    """
    rs = library()
    stereo, colour = sensor_of(device, rs.stream.depth), sensor_of(device, rs.stream.color)
    if stereo is not None:
        depth = Settings(camera, stereo, exposure_unit_us=1.0)
        if config.preset:
            depth.preset(config.preset)  # first, for it sets what follows
        depth.exposure("depth_exposure_us", config.depth_exposure_us)
        depth.number("depth_gain", rs.option.gain, config.depth_gain)
        if config.laser_mw is not None:
            depth.laser(config.laser_mw)
        if config.sync != "off" or stereo.supports(rs.option.inter_cam_sync_mode):
            depth.number("sync", rs.option.inter_cam_sync_mode, _SYNC[config.sync])
    if colour is not None:
        is_stereo = bool(colour.is_depth_sensor())
        settings = Settings(camera, colour, exposure_unit_us=1.0 if is_stereo else _COLOUR_EXPOSURE_US)
        settings.exposure("exposure_us", config.exposure_us)
        settings.number("gain", rs.option.gain, config.gain)
        settings.white_balance(config.white_balance_k)
    for sensor in (stereo, colour):
        if sensor is not None and sensor.supports(rs.option.global_time_enabled):
            sensor.set_option(rs.option.global_time_enabled, float(config.timestamps == "global"))


class Settings:
    """The settings of one sensor of a camera."""

    def __init__(self, camera: str, sensor: Any, exposure_unit_us: float) -> None:
        self._camera, self._sensor, self._exposure_unit_us = camera, sensor, exposure_unit_us
        self._option = library().option

    def number(self, key: str, option: Any, value: float | None, unit: float = 1.0) -> None:
        """Set a value, given in `unit`s of the device's own."""
        if value is None:
            return
        if not self._sensor.supports(option):
            raise ConfigError(f"cameras.{self._camera}.{key}: this device has no such setting; leave the key out.")
        allowed = self._sensor.get_option_range(option)
        wanted = value / unit
        if not allowed.min <= wanted <= allowed.max:
            raise ConfigError(
                f"cameras.{self._camera}.{key} = {value:g}: "
                f"this device allows {allowed.min * unit:g} to {allowed.max * unit:g}."
            )
        if allowed.step > 0:
            wanted = allowed.min + round((wanted - allowed.min) / allowed.step) * allowed.step
        self._sensor.set_option(option, float(wanted))
        got = self._sensor.get_option(option)
        if abs(got - wanted) > max(allowed.step, 1e-6 * abs(wanted)):
            raise ConfigError(f"cameras.{self._camera}.{key} = {value:g}: the device keeps to {got * unit:g}.")

    def exposure(self, key: str, value: float | str | None) -> None:
        if value is not None:
            self._automatic(key, self._option.enable_auto_exposure, value == "auto")
        if isinstance(value, float | int):
            self.number(key, self._option.exposure, value, self._exposure_unit_us)

    def white_balance(self, value: float | str | None) -> None:
        key = "white_balance_k"
        if value is not None:
            self._automatic(key, self._option.enable_auto_white_balance, value == "auto")
        if isinstance(value, float | int):
            self.number(key, self._option.white_balance, value)

    def laser(self, power_mw: float) -> None:
        self.number("laser_mw", self._option.emitter_enabled, float(power_mw > 0))
        if power_mw > 0:
            self.number("laser_mw", self._option.laser_power, power_mw)

    def preset(self, name: str) -> None:
        """Set the visual preset of a name, in whatever case and spacing."""
        option, sensor = self._option.visual_preset, self._sensor
        if not sensor.supports(option):
            raise ConfigError(f"cameras.{self._camera}.preset: this device has no presets; leave the key out.")
        allowed = sensor.get_option_range(option)
        names = {}
        for value in range(int(allowed.min), int(allowed.max) + 1):
            if text := sensor.get_option_value_description(option, float(value)):
                names[_plain(text)] = (text, value)
        if _plain(name) not in names:
            texts = [text for text, _ in names.values()]
            raise ConfigError(
                f"cameras.{self._camera}.preset: this device has no preset '{name}'{closest(name, texts)} "
                f"It has: {', '.join(texts)}."
            )
        sensor.set_option(option, float(names[_plain(name)][1]))

    def _automatic(self, key: str, option: Any, on: bool) -> None:
        if self._sensor.supports(option):
            self._sensor.set_option(option, float(on))
        elif on:
            raise ConfigError(f"cameras.{self._camera}.{key} = auto: this device has no automatic setting for it.")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
