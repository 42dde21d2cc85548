"""Writing results into a rig file: its section `calibration` is replaced, every other byte stays as it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from robot_learning import __version__
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.output import write_bytes
from robot_learning.rig import Rig, load_rig, parse_rig, rig_path
from robot_learning.rig_parts.calibration import (
    ActuatorDelay,
    CalibrationConfig,
    CameraLatency,
    CameraPose,
    GripperDelay,
    Record,
)

_KEY = "calibration"
_NOTE = "# Written by `robot-learning calibrate`; how to read it: docs/hardware/calibration.md"


def about(source: str, now: datetime | None = None) -> dict[str, str]:
    """Date, version and source of a new result."""
    date = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    return {"date": date, "tool_version": __version__, "source": source}


def require_camera(rig: Rig, name: str) -> None:
    """UnknownName where the rig has no such camera."""
    if name not in rig.cameras:
        raise unknown_name(f"camera of the rig {rig.name}", name, rig.cameras)


def updated(rig: Rig, record: Record, camera: str = "") -> CalibrationConfig:
    """The rig's calibration with a new result in it; those of other kinds and cameras stay.

    Args:
        camera: which one a camera's pose or latency is of.
    """
    old = rig.calibration or CalibrationConfig(robot=rig.robot.type)
    changes: dict[str, Any]
    if isinstance(record, CameraPose):
        require_camera(rig, camera)
        changes = {"cameras": {**old.cameras, camera: record}}
    elif isinstance(record, CameraLatency):
        require_camera(rig, camera)
        changes = {"latency": {**old.latency, camera: record}}
    elif isinstance(record, ActuatorDelay):
        changes = {"actuator": record}
    elif isinstance(record, GripperDelay):
        changes = {"gripper": record}
    else:
        raise TypeError(f"a rig's calibration holds no {type(record).__name__}")
    return CalibrationConfig.model_validate({**dict(old), **changes})


def write_calibration(name_or_path: str | Path, calibration: CalibrationConfig) -> tuple[Path, Path]:
    """Put a calibration into a rig file and return that file and the copy of what it was before.

    The file is replaced at once or not at all, and only if it then is a valid rig whose other sections are unchanged.

    Raises:
        ConfigError: the file is not laid out in lines that begin with keys, or would not be valid.
        UserError: it can't be written.
    """
    path = rig_path(name_or_path).resolve()  # a link stays a link
    load_rig(path)  # a file that is wrong already is told as such
    raw = path.read_bytes()
    text = raw.decode()
    new = replaced(text, calibration)
    if (content := _same_but_for_it(new, text)) is None:
        raise ConfigError(
            f"{path}: its section '{_KEY}' can't be told from the rest, as keys don't begin lines; put this in by "
            f"hand:\n{section(calibration)}"
        )
    parse_rig(content, str(path))
    copy = _copy_of(path)
    write_bytes(copy, raw)
    mode = path.stat().st_mode
    write_bytes(path, new.encode())
    path.chmod(mode)
    return path, copy


def _same_but_for_it(new: str, old: str) -> dict[str, Any] | None:
    """What the new text says, if but for the calibration it is what the old one says."""
    try:
        content, before = yaml.safe_load(new), yaml.safe_load(old)
        rest = [{k: v for k, v in c.items() if k != _KEY} for c in (content, before)]
    except (yaml.YAMLError, AttributeError):
        return None
    return content if rest[0] == rest[1] else None


def _copy_of(path: Path) -> Path:
    """A name beside the file that is not taken, and that no list of rigs takes for one."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for k in range(1000):
        copy = path.with_name(f"{path.name}.{stamp}{f'-{k}' if k else ''}.bak")
        if not copy.exists():
            return copy
    raise ConfigError(f"{path.parent} holds a thousand copies of {path.name}; remove old ones.")


def section(calibration: CalibrationConfig, newline: str = "\n") -> str:
    """The section as text."""
    content = {key: value for key, value in calibration.to_json().items() if value != {}}
    dumped = yaml.dump({_KEY: _rounded(content)}, sort_keys=False, default_flow_style=None, width=110)
    head, rest = dumped.split("\n", 1)
    return f"{head}\n  {_NOTE}\n{rest}".replace("\n", newline)


def replaced(text: str, calibration: CalibrationConfig) -> str:
    """A rig file's text with another calibration; at the end where there was none."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    begin = next((i for i, line in enumerate(lines) if re.match(rf"['\"]?{_KEY}['\"]?\s*:", line)), None)
    new = section(calibration, newline)
    if begin is None:
        end = next((i for i, line in enumerate(lines) if line.startswith("...")), len(lines))
        head = "".join(lines[:end])
        if head and not head.endswith("\n"):
            head += newline
        return head + newline + new + "".join(lines[end:])
    end = begin + 1
    while end < len(lines) and (lines[end][0] in " \t\r\n"):
        end += 1
    while end > begin + 1 and not lines[end - 1].strip():  # blank lines belong to what follows
        end -= 1
    return "".join(lines[:begin]) + new + "".join(lines[end:])


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as mean anything: micrometres, microseconds, thousandths of a pixel."""
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 7) if isinstance(value, float) else value
