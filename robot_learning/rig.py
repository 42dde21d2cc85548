"""A rig: one station, real or simulated, from one strictly checked YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError, model_validator

from robot_learning.contract import Alignment, Codec, Contract, Feature, Frozen, StreamSpec
from robot_learning.errors import ConfigError, closest, unknown_name
from robot_learning.rig_parts.bridge import BridgeConfig
from robot_learning.rig_parts.calibration import CalibrationConfig, check_calibration, with_calibrated_delay
from robot_learning.rig_parts.cameras import CameraConfig
from robot_learning.rig_parts.franka import FrankaConfig
from robot_learning.rig_parts.limits import Limits, WatchdogConfig
from robot_learning.rig_parts.numbers import Positive
from robot_learning.rig_parts.rehearsal import RehearsalConfig
from robot_learning.rig_parts.robot import RobotConfig
from robot_learning.rig_parts.sections import ExecutionConfig, ServerConfig, SimulationConfig, TopicConfig
from robot_learning.rig_parts.stretch import StretchConfig
from robot_learning.rig_parts.teleop import TeleopConfig

EE_ACTION_UNIT = "m[3] rotation_6d[6] m[1]"
_VELOCITY = {"rad": "rad/s", "m": "m/s"}
_EFFORT = {"rad": "Nm", "m": "N"}


class AlignmentConfig(Frozen):
    """How one stream is read on the policy's time grid."""

    method: Alignment
    max_age_s: Positive


class PolicyConfig(Frozen):
    """The policies' time grid and how each stream is read on it. Streams not named are recorded only."""

    rate_hz: Positive
    alignment: dict[str, AlignmentConfig]
    execution: ExecutionConfig = ExecutionConfig()


class RecordingConfig(Frozen):
    """The recorder's bounds: queue length [s] and the free disk space below which no episode starts [GB]."""

    queue_s: Positive = 2.0
    disk_reserve_gb: Positive = 1.0


class Rig(Frozen):
    """One station. `contract()` derives what policies and episodes need to know of it."""

    format: Literal[1]
    name: str
    robot: RobotConfig
    limits: Limits
    watchdog: WatchdogConfig
    cameras: dict[str, CameraConfig] = {}
    policy: PolicyConfig
    recording: RecordingConfig = RecordingConfig()
    teleop: TeleopConfig = TeleopConfig()
    server: ServerConfig = ServerConfig()
    simulation: SimulationConfig | None = None  # for simulated rigs
    bridge: BridgeConfig | None = None
    franka: FrankaConfig | None = None
    stretch: StretchConfig | None = None
    calibration: CalibrationConfig | None = None
    rehearsal: RehearsalConfig | None = None
    topics: dict[str, TopicConfig] = {}  # streams that come from other makers' drivers

    @model_validator(mode="before")
    @classmethod
    def _calibrated(cls, content: Any) -> Any:
        return with_calibrated_delay(content)

    @model_validator(mode="after")
    def _check(self) -> Rig:
        check_calibration(self.calibration, self.robot.type, self.cameras)
        for key in ("joint_position_min", "joint_position_max", "joint_velocity_max", "joint_acceleration_max"):
            if len(found := getattr(self.limits, key)) != self.robot.joints:
                raise ValueError(
                    f"limits.{key} needs {self.robot.joints} values, got {len(found)}: {list(found)}; "
                    f"the joints are {', '.join(self.robot.joint_names)}"
                )
        if self.robot.base != (self.limits.base is not None):
            raise ValueError("robot.base and limits.base go together: a mobile base needs limits, no other has them")
        serials = [camera.serial for camera in self.cameras.values() if camera.serial]
        if twice := {serial for serial in serials if serials.count(serial) > 1}:
            raise ValueError(
                f"cameras: two have the serial number {', '.join(sorted(twice))}; each device is one camera"
            )
        if (self.robot.type == "bridge") != (self.bridge is not None):
            raise ValueError("robot.type: bridge and the section 'bridge' go together")
        if self.bridge is not None:
            self.bridge.check(self.robot.command, self.robot.joint_names)
        if self.policy.rate_hz > self.robot.state_rate_hz:
            raise ValueError(
                f"policy.rate_hz = {self.policy.rate_hz} is above robot.state_rate_hz = {self.robot.state_rate_hz}: "
                "policies would see the same state twice"
            )
        names = {spec.name: spec for spec in self.streams()}
        names["action"] = names["action_gated"]
        for key, how in self.policy.alignment.items():
            if key not in names:
                raise ValueError(f"policy.alignment: no stream is called '{key}'{closest(key, names)}")
            rate = names[key].rate_hz
            if how.max_age_s < 1 / rate:
                raise ValueError(
                    f"policy.alignment.{key}.max_age_s = {how.max_age_s} is shorter than one period of "
                    f"the stream's {rate} Hz ({1 / rate:.4g} s): almost every window would be refused"
                )
        for key in self.topics:
            if key not in names or key == "action":
                raise ValueError(f"topics: no stream is called '{key}'{closest(key, names)}")
        self.teleop.check(self.robot.joint_names, self.robot.command == "joint_target", self.robot.base)
        return self

    @property
    def rendered_cameras(self) -> dict[str, CameraConfig]:
        """The cameras that the simulation renders; others have devices, and processes, of their own."""
        return {name: camera for name, camera in self.cameras.items() if camera.type == "mujoco"}

    def streams(self) -> list[StreamSpec]:
        """Everything that this rig records."""
        robot, rate = self.robot, self.robot.state_rate_hz
        j = (robot.joints,)

        def state(name: str, shape: tuple[int, ...], unit: str, frame: str = "") -> StreamSpec:
            return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=rate, frame=frame)

        specs = [
            state("joint_position", j, robot.unit()),
            state("joint_velocity", j, robot.unit(_VELOCITY)),
            *([state("joint_effort", j, robot.unit(_EFFORT))] if robot.joint_effort else []),
            state("ee_position", (3,), "m", "base"),
            state("ee_orientation", (4,), "quaternion_wxyz", "base"),
            state("gripper_width", (1,), "m"),
        ]
        if robot.command_success_rate:
            specs.append(state("command_success_rate", (1,), "1"))
        if robot.base:
            specs += [
                state("base_pose", (3,), "m[2] rad[1]", "odom"),
                state("base_velocity", (2,), "m/s[1] rad/s[1]", "base"),
            ]
        ee = robot.command == "ee_target"
        joints_unit = robot.unit() if "[" in robot.unit() else f"{robot.unit()}[{robot.joints}]"
        joint_action_unit = f"{joints_unit} m[1]" + (" m/s[1] rad/s[1]" if robot.base else "")
        for stage in ("commanded", "gated", "executed"):
            specs.append(
                StreamSpec(
                    name=f"action_{stage}",
                    shape=(10,) if ee else (robot.joints + (3 if robot.base else 1),),
                    dtype="float64",
                    unit=EE_ACTION_UNIT if ee else joint_action_unit,
                    rate_hz=self.policy.rate_hz,
                    frame="base" if ee else "",
                )
            )
        # Who commanded: 1 where a person had taken over from a policy. Absent where nothing but one of them commands.
        specs.append(StreamSpec(name="commander", shape=(1,), dtype="float64", unit="1", rate_hz=self.policy.rate_hz))
        for name, camera in self.cameras.items():
            size = (camera.height_px, camera.width_px)
            codec: Codec = camera.codec
            specs.append(
                StreamSpec(
                    name=name, shape=(*size, 3), dtype="uint8", unit="rgb", rate_hz=camera.rate_hz,
                    frame=f"{name}_optical", codec=codec, jpeg_quality=camera.jpeg_quality,
                )
            )  # fmt: skip
            if camera.depth:
                specs.append(
                    StreamSpec(
                        name=f"{name}_depth", shape=camera.depth_shape, dtype="uint16", unit="depth_mm",
                        rate_hz=camera.rate_hz, codec="depth",
                        frame=f"{name}_optical" if camera.align else f"{name}_depth_optical",
                    )
                )  # fmt: skip
        return specs

    def contract(self, extra: tuple[tuple[StreamSpec, AlignmentConfig], ...] = ()) -> Contract:
        """The contract of this rig; `extra` adds streams that a simulation knows, such as object poses."""
        specs = [*self.streams(), *(spec for spec, _ in extra)]
        how = dict(self.policy.alignment) | {spec.name: a for spec, a in extra}
        features = [
            Feature(
                name=name,
                stream="action_gated" if name == "action" else name,
                role="action" if name == "action" else "observation",
                alignment=a.method,
                max_age_s=a.max_age_s,
                privileged=any(spec.name == name for spec, _ in extra),
            )
            for name, a in how.items()
        ]
        return Contract(
            rig=self.name,
            robot=self.robot.type.removeprefix("mujoco_"),
            policy_rate_hz=self.policy.rate_hz,
            streams=tuple(specs),
            features=tuple(features),
        )


def rig_folder() -> Path:
    """The folder of the rigs that come with the project."""
    return Path(__file__).resolve().parent / "hardware_configs"


def rig_path(name_or_path: str | Path) -> Path:
    """The file of a rig: one in `hardware_configs/` by its name, or the path given; UnknownName for no such name."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = {p.stem: p for p in rig_folder().glob("*.yaml")}
    if str(name_or_path) not in known:
        raise unknown_name("rig", str(name_or_path), known)
    return known[str(name_or_path)]


def load_rig(name_or_path: str | Path) -> Rig:
    """Load a rig by its name in `hardware_configs/` or by the path of its YAML file.

    Raises:
        UnknownName: no rig of that name.
        ConfigError: the file is not what a rig must be; the message names key, value and rule.
    """
    path = rig_path(name_or_path)
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no rig file {path}; give a file or one of the names in {rig_folder()}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    return parse_rig(content, str(path))


def parse_rig(content: Any, source: str) -> Rig:
    """Check the content of a rig file; `source` is named in errors."""
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: a rig file holds keys and values; got {type(content).__name__}.")
    try:
        return Rig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(source, e) for e in error.errors())) from None


def _sentence(source: str, error: Any) -> str:
    """One pydantic error as one sentence with the closest key."""
    where = ".".join(str(part) for part in error["loc"])
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        allowed = _keys_at(error["loc"][:-1])
        return f"{source}: unknown key '{where}'{closest(key, allowed)} Allowed here: {', '.join(sorted(allowed))}."
    if kind == "missing":
        return f"{source}: the key '{where}' is missing."
    if kind in ("too_short", "too_long"):
        ctx = error["ctx"]
        need = ctx.get("min_length", ctx.get("max_length"))
        return f"{source}: '{where}' needs {need} values, got {ctx['actual_length']}: {list(value)}."
    if kind == "value_error":
        return f"{source}: {where + ': ' if where else ''}{error['ctx']['error']}."
    return f"{source}: '{where}' is {value!r}: {error['msg'][0].lower()}{error['msg'][1:]}."


def _keys_at(loc: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place in the rig, followed through nested models and dicts."""
    model: Any = Rig
    for part in loc:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        annotation = field.annotation if field else model
        args = getattr(annotation, "__args__", ())
        # A dict's values, or the model of an optional section.
        model = next((a for a in reversed(args) if hasattr(a, "model_fields")), annotation)
        if not hasattr(model, "model_fields"):
            return []
    return list(model.model_fields)
