"""The contract: what a rig's robot observes and accepts, stored in every episode and checkpoint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from robot_learning.errors import ContractMismatch, unknown_name

Alignment = Literal["previous", "nearest", "linear", "slerp"]
Codec = Literal["raw", "jpeg", "lossless", "depth"]
Role = Literal["observation", "action"]

UNITS = {
    "m", "rad", "s", "m/s", "rad/s", "N", "Nm", "px",
    "1",                # dimensionless
    "angle_rad",        # one wrapped angle: policies see its cosine and sine
    "quaternion_wxyz",  # unit quaternion, scalar first: policies see its rotation_6d
    "rotation_6d",      # first two columns of the rotation matrix (Zhou et al., CVPR 2019)
    "rgb",              # colour image, uint8, (H, W, 3)
    "depth_mm",         # depth image, uint16 millimetres, 0 = no return, (H, W)
}  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Frozen(BaseModel):
    """Base of all records that are read from files: unknown keys are refused, values don't change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StreamSpec(Frozen):
    """A named sequence of stamped samples at its own native rate.

    Attributes:
        shape: of one sample, e.g. `(7,)` or `(H, W, 3)`.
        unit: one of `UNITS`, or a list with counts for mixed vectors: `"m[3] rotation_6d[6] m[1]"`.
        rate_hz: nominal rate [Hz]; the measured one is in the episode's quality record.
        frame: the coordinate frame that values are expressed in, where one applies.
        codec: `raw` (blosc: bitshuffle and zstd), `jpeg` (colour, lossy), `lossless` (colour), `depth` (uint16).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    rate_hz: float = Field(gt=0)
    frame: str = ""
    codec: Codec = "raw"
    jpeg_quality: int = Field(default=92, ge=50, le=100)

    @model_validator(mode="after")
    def _check(self) -> StreamSpec:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a stream's name is lower case letters, digits and '_'; got '{self.name}'")
        np.dtype(self.dtype)
        parse_unit(self.unit, self.shape)
        if self.codec == "jpeg" and (self.dtype != "uint8" or len(self.shape) != 3 or self.shape[2] != 3):
            raise ValueError(f"codec jpeg needs uint8 (H, W, 3); stream '{self.name}' is {self.dtype} {self.shape}")
        if self.codec == "depth" and (self.dtype != "uint16" or len(self.shape) != 2):
            raise ValueError(f"codec depth needs uint16 (H, W); stream '{self.name}' is {self.dtype} {self.shape}")
        return self

    @property
    def is_image(self) -> bool:
        """Whether samples are colour images."""
        return self.unit == "rgb"


def parse_unit(unit: str, shape: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """Split a unit into (unit, count) parts along the last axis; raise ValueError where they don't fit.

    >>> parse_unit("m[3] rotation_6d[6] m[1]", (10,))
    (('m', 3), ('rotation_6d', 6), ('m', 1))
    """
    parts: list[tuple[str, int]] = []
    for token in unit.split():
        match = re.fullmatch(r"([^\[\]]+)(?:\[(\d+)\])?", token)
        name, count = (match[1], match[2]) if match else (token, None)
        if name not in UNITS:
            raise ValueError(f"unknown unit '{name}' in '{unit}'; allowed: {', '.join(sorted(UNITS))}")
        parts.append((name, int(count) if count else (shape[-1] if shape else 1)))
    if len(parts) > 1 and sum(n for _, n in parts) != shape[-1]:
        raise ValueError(
            f"unit '{unit}' describes {sum(n for _, n in parts)} values, the shape {shape} has {shape[-1]}"
        )
    return tuple(parts)


class Feature(Frozen):
    """One thing a policy sees or does: a stream, read on the policy's time grid.

    Attributes:
        alignment: how a value at time t is taken from the samples around it.
        max_age_s: the oldest (for interpolation: the farthest) sample that may be used [s].
        privileged: known to a simulator only, such as an object's pose; policies that look through
            cameras leave it out unless asked.
    """

    name: str
    stream: str
    role: Role
    alignment: Alignment
    max_age_s: float = Field(gt=0)
    privileged: bool = False


class Contract(Frozen):
    """All streams of a rig, and the features that policies build on them.

    Attributes:
        rig: the rig's name; informative, two rigs may share a contract.
        robot: the kind of robot, e.g. `panda`.
        policy_rate_hz: the policies' time grid [Hz].
    """

    rig: str
    robot: str
    policy_rate_hz: float = Field(gt=0)
    streams: tuple[StreamSpec, ...]
    features: tuple[Feature, ...]

    @model_validator(mode="after")
    def _check(self) -> Contract:
        names = [s.name for s in self.streams]
        if len(set(names)) < len(names):
            raise ValueError(f"stream names must differ; got {names}")
        features = [f.name for f in self.features]
        if len(set(features)) < len(features):
            raise ValueError(f"feature names must differ; got {features}")
        for feature in self.features:
            spec = self.stream(feature.stream)
            if feature.alignment == "slerp" and spec.unit != "quaternion_wxyz":
                raise ValueError(f"feature '{feature.name}': slerp needs unit quaternion_wxyz, got '{spec.unit}'")
            if feature.alignment == "linear" and not np.issubdtype(np.dtype(spec.dtype), np.floating):
                raise ValueError(f"feature '{feature.name}': linear needs a floating dtype, got {spec.dtype}")
        return self

    def stream(self, name: str) -> StreamSpec:
        """The stream called `name`, or UnknownName."""
        for spec in self.streams:
            if spec.name == name:
                return spec
        raise unknown_name("stream", name, [s.name for s in self.streams])

    def feature(self, name: str) -> Feature:
        """The feature called `name`, or UnknownName."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise unknown_name("feature", name, [f.name for f in self.features])

    def spec_of(self, feature: str) -> StreamSpec:
        """The stream that a feature reads."""
        return self.stream(self.feature(feature).stream)

    @property
    def observations(self) -> tuple[Feature, ...]:
        """Features that a policy sees."""
        return tuple(f for f in self.features if f.role == "observation")

    @property
    def actions(self) -> tuple[Feature, ...]:
        """Features that a policy predicts."""
        return tuple(f for f in self.features if f.role == "action")

    def to_json(self) -> dict:
        """A JSON-ready dict; `Contract.model_validate` reads it back."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 of everything but the rig's name, as hex."""
        content = {k: v for k, v in self.to_json().items() if k != "rig"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def require_match(self, other: Contract, mine: str, theirs: str, features: Iterable[str] | None = None) -> None:
        """Raise ContractMismatch unless `other` serves the given features (default: all) alike.

        Args:
            mine, theirs: what to call the two sides in the message, e.g. "the checkpoint".
        """
        if self.robot != other.robot:
            raise _mismatch("robot", mine, self.robot, theirs, other.robot)
        if self.policy_rate_hz != other.policy_rate_hz:
            raise _mismatch("policy rate [Hz]", mine, self.policy_rate_hz, theirs, other.policy_rate_hz)
        theirs_by_name = {f.name: f for f in other.features}
        for name in features if features is not None else [f.name for f in self.features]:
            feature = self.feature(name)
            if name not in theirs_by_name:
                raise _mismatch(
                    f"feature '{name}'", mine, "present", theirs, f"absent (it has {sorted(theirs_by_name)})"
                )
            spec, other_spec = self.stream(feature.stream), other.stream(theirs_by_name[name].stream)
            for key in ("shape", "dtype", "unit", "rate_hz", "frame"):
                a, b = getattr(spec, key), getattr(other_spec, key)
                if a != b:
                    raise _mismatch(f"{key} of feature '{name}'", mine, a, theirs, b)
            for key in ("role", "alignment", "max_age_s"):
                a, b = getattr(feature, key), getattr(theirs_by_name[name], key)
                if a != b:
                    raise _mismatch(f"{key} of feature '{name}'", mine, a, theirs, b)


def _mismatch(what: str, mine: str, a: object, theirs: str, b: object) -> ContractMismatch:
    return ContractMismatch(f"contracts differ in {what}: {mine} has {a}, {theirs} has {b}.")
