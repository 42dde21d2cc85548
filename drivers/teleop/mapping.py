"""From what a device reads to what its operator asks for, as the rig file maps it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from robot_learning.drivers.teleop.hands import Hands, Reading, shape
from robot_learning.errors import ConfigError, closest, unknown_name
from robot_learning.rig_parts.teleop import DeviceConfig, Source, TeleopConfig

# On a screen, where an axis is positive, and where it is so with a minus sign.
_NAMES = {
    "x": ("forward", "back"), "y": ("left", "right"), "z": ("up", "down"), "yaw": ("turn left", "turn right"),
    "base_forward": ("drive", "drive back"), "base_turn": ("turn left", "turn right"),
}  # fmt: skip


class Mapping:
    """One device's mapping, with what must be remembered from reading to reading.

    An axis that is off its rest when the clutch is let go, or when the device is opened, counts only once it has been
    at rest: what the hands did meanwhile must not move the robot at once.

    Args:
        device: its name in the rig file.

    Attributes:
        motions: what its axes move.
    """

    def __init__(self, config: TeleopConfig, device: str) -> None:
        if device not in config.devices():
            raise unknown_name("input device", device, config.devices())
        self._device: DeviceConfig = config.devices()[device]
        self._name, self._inputs = device, self._device.inputs
        self._sources, self._words = self._device.sources(), self._device.words()
        self._curves = {motion: self._curve(source, config) for motion, source in self._sources.items()}
        self._rest_zone = self._or(self._device.dead_zone, config.dead_zone)
        self._dead_man = self._device.dead_man or self._inputs.dead_man[0]
        self.motions = frozenset(self._sources)
        self._waits: set[str] = set()  # motions that have not been at rest yet
        self._clutched = False

    def opened(self, buttons: Collection[str]) -> None:
        """The device was opened and has these buttons; begin anew.

        Raises:
            ConfigError: the rig file names a button that it does not have, or nothing can be its dead-man.
        """
        where = f"teleop.{self._name}"
        for button in self._device.named_buttons():
            if button not in buttons:
                raise ConfigError(
                    f"{where} names the button '{button}', which this {self._name} does not have"
                    f"{closest(button, buttons)} It has: {', '.join(buttons) or 'none'}."
                )
        if not self._device.dead_man:
            choices = [name for name in self._inputs.dead_man if name in (*buttons, *self._inputs.own_dead_man)]
            if not choices:
                own = " or ".join(self._inputs.own_dead_man)
                raise ConfigError(
                    f"this {self._name} has no button that could be its dead-man; give {where}.dead_man: {own}."
                )
            self._dead_man = choices[0]
        self._words = {b: w for b, w in self._device.words().items() if b in buttons and b != self._dead_man}
        self._waits, self._clutched = set(self._sources), False

    def hands(self, reading: Reading) -> Hands:
        """What one reading asks for."""
        dead_man = self._held(reading)
        words = tuple(self._words[button] for button in reading.pressed if button in self._words)
        if self._dead_man in self._inputs.held and not dead_man:
            words = tuple(word for word in words if word != "gripper")
        clutched, was = self._device.clutch in reading.held, self._clutched
        self._clutched = clutched
        if clutched or was:
            self._waits = set(self._sources)
        shaped = {motion: self._motion(motion, source, reading) for motion, source in self._sources.items()}
        self._waits = {motion for motion in self._waits if shaped[motion]}
        motions = {m: v for m, v in shaped.items() if v and not clutched and m not in self._waits}
        follows = self._device.gripper != "toggle"
        return Hands(motions, dead_man, words, reading.axes.get(self._device.gripper, 0.0) if follows else None)

    def moved(self, motions: Collection[str]) -> dict[str, str]:
        """Axis: what its positive direction moves, of these motions."""
        return {
            source.axis: _NAMES.get(motion, (motion, f"-{motion}"))[source.scale < 0]
            for motion, source in self._sources.items()
            if motion in motions and source.axis
        }

    def help(self) -> str:
        """What does what, for the operator."""
        held = {
            "key": "a motion key", "touch": "the touch of a stick or slider", "cap": "the cap off its centre"
        }.get(self._dead_man, self._dead_man)  # fmt: skip
        moves = ", ".join(dict.fromkeys(f"{m} {_text(s)}" if _text(s) != m else m for m, s in self._sources.items()))
        lines = [
            f"dead-man: {held}" + (f"; clutch: {self._device.clutch}" if self._device.clutch else ""),
            f"motions: {moves}",
            f"({self._inputs.text})",
        ]
        if self._device.gripper != "toggle":
            lines.append(f"gripper: follows {self._device.gripper}")
        if self._name != "web":  # its page says so itself
            by_word: dict[str, list[str]] = {}
            for button, word in self._words.items():
                by_word.setdefault(word, []).append(button)
            lines.append("buttons: " + ", ".join(f"{' '.join(names)} {word}" for word, names in by_word.items()))
        return "\n".join(lines)

    # Inside

    def _held(self, reading: Reading) -> bool:
        if self._dead_man in ("key", "touch"):
            return reading.touched
        if self._dead_man == "cap":
            return any(abs(value) > self._rest_zone for value in reading.axes.values())
        return self._dead_man in reading.held

    def _motion(self, motion: str, source: Source, reading: Reading) -> float:
        if source.buttons:
            backwards, forwards = (float(button in reading.held) for button in source.buttons)
            return source.scale * (forwards - backwards)
        dead_zone, response = self._curves[motion]
        return source.scale * float(shape(np.array(reading.axes.get(source.axis, 0.0)), dead_zone, response))

    def _curve(self, source: Source, config: TeleopConfig) -> tuple[float, float]:
        dead_zone = self._or(source.dead_zone, self._or(self._device.dead_zone, config.dead_zone))
        return dead_zone, self._or(source.response, self._or(self._device.response, config.response))

    @staticmethod
    def _or(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else value


def _text(source: Source) -> str:
    sign = "-" if source.scale < 0 else ""
    return sign + (source.axis or "/".join(source.buttons or ()))
