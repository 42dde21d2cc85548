"""Whether this machine can drive a rig: what `robot-learning doctor --rig` looks at.

Each driver brings checks of its own: a module `doctor` with `findings(rig)`, which touches nothing that moves.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime

from robot_learning.doctor import Finding
from robot_learning.drivers.cameras.registry import CAMERAS
from robot_learning.drivers.robots import ROBOTS
from robot_learning.errors import ConfigError, closest
from robot_learning.rig import load_rig

_ROBOT_DOCTORS = {
    "franka": "robot_learning.drivers.franka.doctor",
    "stretch": "robot_learning.drivers.stretch.doctor",
}
_CAMERA_DOCTOR = "robot_learning.drivers.cameras.doctor"


def examine_rig(name_or_path: str) -> Iterator[Finding]:
    """Findings about a rig, one at a time; a rig file that can't be read is a finding, too."""
    try:
        rig = load_rig(name_or_path)
    except ConfigError as error:
        yield Finding("FAIL", "rig", str(error), "mend the rig file")
        return
    yield Finding("ok", "rig", f"{rig.name}: {rig.robot.type}, cameras: {', '.join(rig.cameras) or 'none'}")
    yield _known("robot", rig.robot.type, [*ROBOTS, "bridge"])
    for name, camera in rig.cameras.items():
        if name not in rig.topics:
            yield _known(f"camera {name}", camera.type, [*CAMERAS, "mujoco"])
    if rig.calibration is not None:
        old = rig.calibration.stale(datetime.now(UTC))
        yield Finding("--" if old else "ok", "calibration", " ".join(old) or "not too old",
                      "robot-learning calibrate --help" if old else "")  # fmt: skip
    doctors = [_ROBOT_DOCTORS[rig.robot.type]] if rig.robot.type in _ROBOT_DOCTORS else []
    if any(camera.type != "mujoco" and name not in rig.topics for name, camera in rig.cameras.items()):
        doctors.append(_CAMERA_DOCTOR)
    for module in doctors:
        yield from importlib.import_module(module).findings(rig)


def _known(key: str, type: str, known: list[str]) -> Finding:
    if type in known:
        return Finding("ok", key, type)
    return Finding("FAIL", key, f"nobody drives a '{type}'{closest(type, known)}", f"one of {', '.join(known)}")
