"""The part of a rig file about a person's input device."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from robot_learning.contract import Frozen
from robot_learning.errors import closest
from robot_learning.rig_parts import teleop_inputs as has
from robot_learning.rig_parts.numbers import Positive
from robot_learning.rig_parts.teleop_inputs import BASE, MOTIONS, WORDS, Inputs

NONE = "none"  # in place of an axis or a word: this one does nothing
DeadZone = Annotated[float, Field(ge=0, lt=0.9)]
Response = Annotated[float, Field(ge=1, le=5)]
Share = Annotated[float, Field(ge=-1, le=1)]


class Source(Frozen):
    """Where a motion comes from; `-left_y` in a rig file is short for `{axis: left_y, scale: -1}`.

    Attributes:
        axis: of the device; a minus sign turns it about. `none`: nothing moves this.
        buttons: in place of an axis, two buttons: backwards, forwards.
        scale: share of the full speed, negative to turn it about.
        dead_zone, response: None: the device's.
    """

    axis: str = ""
    buttons: tuple[str, str] | None = None
    scale: Share = 1.0
    dead_zone: DeadZone | None = None
    response: Response | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"axis": value}
        if isinstance(value, dict) and isinstance(axis := value.get("axis"), str) and axis.startswith("-"):
            scale = value.get("scale", 1.0)
            value = {**value, "axis": axis[1:], "scale": -scale if isinstance(scale, int | float) else scale}
        return value

    @model_validator(mode="after")
    def _check(self) -> Source:
        if bool(self.axis) == (self.buttons is not None):
            raise ValueError("give either an axis or two buttons: {axis: NAME} or {buttons: [BACKWARDS, FORWARDS]}")
        if self.scale == 0:
            raise ValueError(f"scale is 0; an axis that moves nothing is written as '{NONE}'")
        return self


class DeviceConfig(Frozen):
    """One kind of device: what its axes move and what its buttons ask for, where not as usual.

    Attributes:
        axes: motion, or a joint's name: where it comes from. The rest is as usual.
        buttons: button: word.
        dead_man: what must be held for the robot to move; empty: as usual.
        clutch: a button; while it is held the hands move and the robot does not. Empty: none.
        gripper: `toggle` by its word, or a trigger that it follows.
        dead_zone, response: None: those of the section.
    """

    inputs: ClassVar[Inputs]
    axes: dict[str, Source] = {}
    buttons: dict[str, str] = {}
    dead_man: str = ""
    clutch: str = ""
    gripper: str = "toggle"
    dead_zone: DeadZone | None = None
    response: Response | None = None

    @model_validator(mode="after")
    def _check(self) -> DeviceConfig:
        inputs = self.inputs
        for button, word in self.buttons.items():
            _known("button", button, inputs.buttons)
            _known(f"word for the button {button}", word, (*WORDS, NONE))
        for motion, source in self.axes.items():
            if source.axis and source.axis != NONE:
                _known(f"axis for {motion}", source.axis, inputs.axes)
            for button in source.buttons or ():
                _known(f"button for {motion}", button, inputs.held)
        if self.dead_man:
            _known("dead_man", self.dead_man, (*inputs.own_dead_man, *inputs.held))
        if self.clutch:
            if not inputs.held:
                raise ValueError("this device needs no clutch: its axes are at rest as soon as it is let go")
            _known("clutch", self.clutch, inputs.held)
        if self.gripper != "toggle":
            _known("gripper", self.gripper, ("toggle", *inputs.one_way))
        self._check_uses()
        return self

    def _check_uses(self) -> None:
        """Nothing may do two things at once."""
        uses: dict[str, str] = {}
        for button, use in ((self.dead_man, "the dead-man"), (self.clutch, "the clutch")):
            self._use(uses, button, use)
        if self.gripper != "toggle":
            self._use(uses, self.gripper, "the gripper")
        for motion, source in self.sources().items():
            for part in self._parts(source):
                if part in uses:
                    raise ValueError(
                        f"{part} is {uses[part]}, and part of what moves {motion}; "
                        f"give {motion} another axis, or '{NONE}'"
                    )
        moving = {part: motion for motion, source in self.sources().items() for part in self._parts(source)}
        for button, word in self.buttons.items():
            if word != NONE and button in moving:
                raise ValueError(
                    f"the button {button} is part of what moves {moving[button]}; "
                    f"set axes: {{{moving[button]}: {NONE}}} or another, or choose another button for {word}"
                )
            if word != NONE:
                self._use(uses, button, f"the word {word}")
        if self.inputs.needs_stop and "stop" not in self.words().values():
            raise ValueError("no button says 'stop' any more; give it one, say buttons: {...: stop}")

    @staticmethod
    def _use(uses: dict[str, str], part: str, use: str) -> None:
        if part and part in uses:
            raise ValueError(f"{part} can't be {uses[part]} and {use}; choose another for one of them")
        uses[part] = use

    def _parts(self, source: Source) -> tuple[str, ...]:
        if source.buttons:
            return source.buttons
        return (source.axis, *self.inputs.axes.get(source.axis, ()))

    def sources(self) -> dict[str, Source]:
        """Motion, or a joint's name: where it comes from; the usual ones and the rig file's."""
        usual = {motion: Source.model_validate(axis) for motion, axis in self.inputs.moves.items()}
        return {motion: source for motion, source in (usual | self.axes).items() if source.axis != NONE}

    def words(self) -> dict[str, str]:
        """Button: what it asks for. What the rig file uses in another way no longer has its usual word."""
        taken = {self.dead_man, self.clutch, self.gripper}
        taken |= {part for source in self.axes.values() if source.axis != NONE for part in self._parts(source)}
        usual = {button: word for button, word in self.inputs.words.items() if button not in taken}
        return {button: word for button, word in (usual | self.buttons).items() if word != NONE}

    def named_buttons(self) -> list[str]:
        """Those that the rig file names, which the device must have."""
        own = [name for name in (self.dead_man, self.clutch) if name in self.inputs.held]
        moving = [button for source in self.axes.values() for button in source.buttons or ()]
        return [*own, *moving, *(button for button, word in self.buttons.items() if word != NONE)]


class KeyboardConfig(DeviceConfig):
    """A terminal's keyboard."""

    inputs = has.KEYBOARD


class GamepadConfig(DeviceConfig):
    """A gamepad.

    Attributes:
        name: part of the name of the one to be used; empty: the first that is found.
    """

    inputs = has.GAMEPAD
    name: str = ""


class SpaceMouseConfig(DeviceConfig):
    """A 3Dconnexion SpaceMouse.

    Attributes:
        dead_man: a button that is held; or `cap`: the cap itself, off its centre beyond the dead zone.
        product: as pyspacemouse calls it, SpaceMouseCompact say; empty: whichever is connected.
        serial: its serial number, for those that have one.
        path: its device file, such as a link that a udev rule made.
    """

    inputs = has.SPACEMOUSE
    product: str = ""
    serial: str = ""
    path: str = ""


class WebConfig(DeviceConfig):
    """The page for a phone or a browser.

    Attributes:
        host: address that it listens on. Whatever it is, only who has the token of the address printed at start
            may command.
        port: 0: any that is free.
    """

    inputs = has.WEB
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8787

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"'{host}' is no IPv4 address; 127.0.0.1 is this machine, 0.0.0.0 all networks") from None
        return host


class TeleopConfig(Frozen):
    """How a person drives the rig.

    Attributes:
        mode: what axes move at first: the tool (`ee`), one joint after the other (`joint`), the mobile base (`base`),
            or several joints and the base at once, as the device's `axes` say (`mixed`).
        frame: whose axes the tool's motion is along and about: the robot's base or the tool itself.
        joint_speed_rad_s, joint_speed_m_s: of joints that turn, and of those that slide.
        base_speed_m_s, base_angular_speed_rad_s: of the mobile base; never above its limits.
        dead_man_timeout_s: a keyboard has no key-up over ssh: without a repeat for so long, the dead-man is open. So
            it is without news from a web page, or from a SpaceMouse whose cap is off its centre.
        dead_zone: share of an axis's travel that counts as rest.
        response: exponent of the response curve; 1 is straight, above 1 is finer near rest.
        keyboard, gamepad, spacemouse, web: what each does where not as usual.
    """

    device: Literal["keyboard", "gamepad", "spacemouse", "web", "scripted"] = "keyboard"
    mode: Literal["ee", "joint", "base", "mixed"] = "ee"
    frame: Literal["base", "tool"] = "base"
    rate_hz: Positive = 50.0
    linear_speed_m_s: Positive = 0.15
    angular_speed_rad_s: Positive = 0.6
    joint_speed_rad_s: Positive = 0.4
    joint_speed_m_s: Positive = 0.08
    base_speed_m_s: Positive = 0.15
    base_angular_speed_rad_s: Positive = 0.4
    dead_man_timeout_s: Positive = 0.4
    dead_zone: DeadZone = 0.1
    response: Response = 2.0
    keyboard: KeyboardConfig = KeyboardConfig()
    gamepad: GamepadConfig = GamepadConfig()
    spacemouse: SpaceMouseConfig = SpaceMouseConfig()
    web: WebConfig = WebConfig()

    def devices(self) -> dict[str, DeviceConfig]:
        """Those that a person's hands may hold."""
        return {
            "keyboard": self.keyboard, "gamepad": self.gamepad, "spacemouse": self.spacemouse, "web": self.web,
        }  # fmt: skip

    def check(self, joint_names: Sequence[str], takes_joints: bool, base: bool) -> None:
        """Raise ValueError where a device's axes name what this robot does not have.

        Args:
            takes_joints: whether its targets are joints.
            base: whether it has a base that drives.
        """
        for name, config in self.devices().items():
            for motion in config.axes:
                where = f"teleop.{name}.axes: '{motion}'"
                if motion not in MOTIONS and motion not in joint_names:
                    known = (*MOTIONS, *joint_names)
                    raise ValueError(
                        f"{where} is neither a motion nor a joint{closest(motion, known)} Allowed: {', '.join(known)}"
                    )
                if motion in BASE and not base:
                    raise ValueError(f"{where} moves a base, and robot.base is false")
                if motion in joint_names and not takes_joints:
                    raise ValueError(f"{where} is a joint, and the rig takes tools' targets: robot.command: ee_target")
        if self.mode == "base" and not base:
            raise ValueError("teleop.mode: base is for rigs with robot.base: true")


def _known(what: str, name: str, allowed: Sequence[str] | dict[str, Any]) -> None:
    if name not in allowed:
        names = list(allowed)
        shown = ", ".join(names) if len(names) <= 40 else "any key, or space, enter, backspace"
        raise ValueError(f"unknown {what} '{name}'{closest(name, names)} Allowed: {shown}")
