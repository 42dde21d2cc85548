"""A rig: one station, real or simulated, from one strictly checked YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from robot_learning.contract import Alignment, Codec, Contract, Feature, Frozen, StreamSpec
from robot_learning.errors import ConfigError, closest, unknown_name
from robot_learning.rig_sections import ExecutionConfig, ServerConfig, SimulationConfig, TeleopConfig, TopicConfig

JOINTS = 7
Positive = Annotated[float, Field(gt=0)]
Joints = Annotated[tuple[float, ...], Field(min_length=JOINTS, max_length=JOINTS)]
Vector3 = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]

EE_ACTION_UNIT = "m[3] rotation_6d[6] m[1]"
JOINT_ACTION_UNIT = f"rad[{JOINTS}] m[1]"


class RobotConfig(Frozen):
    """The arm: which driver, which kind of command, how often its state is read.

    Attributes:
        gripper: `width` follows the commanded width; `open_close` closes below 40 % of the range, opens
            above 60 %, and between them keeps what it does. A Franka Hand takes no stream of widths, and a
            policy's small errors of width would otherwise feed on themselves.
    """

    type: str
    command: Literal["ee_target", "joint_target"]
    gripper: Literal["width", "open_close"]
    state_rate_hz: Positive
    home_joint_position_rad: Joints
    joint_names: Annotated[tuple[str, ...], Field(min_length=JOINTS, max_length=JOINTS)] = tuple(
        f"panda_joint{i + 1}" for i in range(JOINTS)
    )


class Limits(Frozen):
    """What the gate enforces. Arrays are per joint, or x, y, z in the robot's base frame."""

    on_violation: Literal["clip", "refuse"] = "refuse"
    joint_position_min_rad: Joints
    joint_position_max_rad: Joints
    joint_velocity_max_rad_s: Joints
    joint_acceleration_max_rad_s2: Joints
    workspace_min_m: Vector3
    workspace_max_m: Vector3
    ee_speed_max_m_s: Positive
    ee_acceleration_max_m_s2: Positive
    ee_angular_speed_max_rad_s: Positive
    ee_angular_acceleration_max_rad_s2: Positive
    tracking_distance_max_m: Positive
    tracking_distance_max_rad: Positive
    first_target_distance_max_m: Positive
    first_target_distance_max_rad: Positive
    gripper_width_min_m: Annotated[float, Field(ge=0)]
    gripper_width_max_m: Positive
    command_age_max_s: Positive

    @model_validator(mode="after")
    def _check(self) -> Limits:
        for low, high in (
            ("joint_position_min_rad", "joint_position_max_rad"),
            ("workspace_min_m", "workspace_max_m"),
        ):
            for i, (a, b) in enumerate(zip(getattr(self, low), getattr(self, high), strict=True)):
                if a >= b:
                    raise ValueError(f"{low}[{i}] = {a} must be below {high}[{i}] = {b}")
        for key in ("joint_velocity_max_rad_s", "joint_acceleration_max_rad_s2"):
            if min(getattr(self, key)) <= 0:
                raise ValueError(f"{key} must be positive; got {list(getattr(self, key))}")
        if self.gripper_width_min_m >= self.gripper_width_max_m:
            raise ValueError(
                f"gripper_width_min_m = {self.gripper_width_min_m} must be below "
                f"gripper_width_max_m = {self.gripper_width_max_m}"
            )
        return self


class WatchdogConfig(Frozen):
    """Silence for `timeout_s` [s] makes the robot slow down over `deceleration_time_s` [s] and hold."""

    timeout_s: Positive
    deceleration_time_s: Positive


class CameraConfig(Frozen):
    """One camera; its colour stream has the camera's name, its depth stream `<name>_depth`."""

    type: str
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    rate_hz: Positive
    depth: bool = False
    codec: Literal["jpeg", "lossless"] = "jpeg"
    jpeg_quality: int = Field(default=92, ge=50, le=100)


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
    topics: dict[str, TopicConfig] = {}  # streams that come from other makers' drivers

    @model_validator(mode="after")
    def _check(self) -> Rig:
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
        return self

    @property
    def rendered_cameras(self) -> dict[str, CameraConfig]:
        """The cameras that the simulation renders; others have devices, and processes, of their own."""
        return {name: camera for name, camera in self.cameras.items() if camera.type == "mujoco"}

    def streams(self) -> list[StreamSpec]:
        """Everything that this rig records."""
        rate, j = self.robot.state_rate_hz, (JOINTS,)

        def state(name: str, shape: tuple[int, ...], unit: str, frame: str = "") -> StreamSpec:
            return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=rate, frame=frame)

        specs = [
            state("joint_position", j, "rad"),
            state("joint_velocity", j, "rad/s"),
            state("joint_effort", j, "Nm"),
            state("ee_position", (3,), "m", "base"),
            state("ee_orientation", (4,), "quaternion_wxyz", "base"),
            state("gripper_width", (1,), "m"),
        ]
        ee = self.robot.command == "ee_target"
        for stage in ("commanded", "gated", "executed"):
            specs.append(
                StreamSpec(
                    name=f"action_{stage}",
                    shape=(10,) if ee else (JOINTS + 1,),
                    dtype="float64",
                    unit=EE_ACTION_UNIT if ee else JOINT_ACTION_UNIT,
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
                        name=f"{name}_depth", shape=size, dtype="uint16", unit="depth_mm", rate_hz=camera.rate_hz,
                        frame=f"{name}_optical", codec="depth",
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
