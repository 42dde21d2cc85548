"""Whether this machine can drive its Stretch: library, fleet folder, devices, homing, battery, runstop.

The library opens the robot's devices for it and closes them again; nothing is asked to move.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from robot_learning.clock import SystemClock
from robot_learning.doctor import Finding
from robot_learning.drivers.stretch.body import BodyStatus
from robot_learning.drivers.stretch.checks import check_model, check_rig
from robot_learning.drivers.stretch.kinematics import urdf_of
from robot_learning.drivers.stretch.process import ProcessBody
from robot_learning.errors import UserError
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig

TESTED_VERSION = "0.7.31"
FLEET_FILES = ("stretch_configuration_params.yaml", "stretch_user_params.yaml")
_ASK_VERSION = "from importlib.metadata import version; print(version('hello-robot-stretch-body'))"
_ASK_S = 30.0


def findings(rig: Rig) -> Iterator[Finding]:
    """What a Stretch needs, one finding at a time; what depends on a failed one is left out."""
    config = rig.stretch or StretchConfig()
    try:
        check_rig(rig)
        yield Finding("ok", "Stretch's description", str(urdf_of(rig)))
    except UserError as error:
        yield Finding("FAIL", "Stretch's rig", str(error), "mend the rig file")
        return
    library, fleet = _library(config), _fleet(config)
    yield library
    yield fleet
    if "FAIL" not in (library.mark, fleet.mark):
        yield from _robot(rig, config)


def _library(config: StretchConfig) -> Finding:
    python = os.path.expanduser(config.python) or sys.executable
    what = "stretch_body"
    try:
        environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
        found = subprocess.run(
            [python, "-c", _ASK_VERSION], capture_output=True, text=True, timeout=_ASK_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("FAIL", what, f"{python} can't be run: {error}", "correct stretch.python in the rig file")
    if found.returncode:
        remedy = "set stretch.python to the Python that has it; on a robot that is /usr/bin/python3"
        return Finding("FAIL", what, f"{python} does not have it", remedy)
    version = found.stdout.strip()
    if version != TESTED_VERSION:
        return Finding("--", what, f"{version} in {python}; tested with {TESTED_VERSION}")
    return Finding("ok", what, f"{version} in {python}")


def _fleet(config: StretchConfig) -> Finding:
    path = os.path.expanduser(config.fleet_path) or os.environ.get("HELLO_FLEET_PATH", "")
    name = config.fleet_id or os.environ.get("HELLO_FLEET_ID", "")
    what = "fleet folder"
    if not path or not name:
        remedy = "read the robot's own shell profile, or set stretch.fleet_path and stretch.fleet_id"
        return Finding("FAIL", what, "HELLO_FLEET_PATH or HELLO_FLEET_ID is not set", remedy)
    folder = Path(path) / name
    if missing := [file for file in FLEET_FILES if not (folder / file).is_file()]:
        return Finding("FAIL", what, f"{folder} lacks {', '.join(missing)}", "give the folder that came with the robot")
    return Finding("ok", what, str(folder))


def _robot(rig: Rig, config: StretchConfig) -> Iterator[Finding]:
    body = ProcessBody(rig, SystemClock())
    try:
        if not body.startup():
            remedy = "switch the robot on, pull the runstop, end other programs (stretch_free_robot_process.py)"
            yield Finding("FAIL", "startup", body.why, remedy)
            return
        yield Finding("ok", "startup", "every device answers")
        try:
            check_model(rig, body.model())
            yield Finding("ok", "limits", f"within those of this {body.model().name} with {body.model().tool}")
        except UserError as error:
            yield Finding("FAIL", "limits", str(error), "mend the rig file")
        yield from _state(body.status(), body.is_homed(), rig, config)
    except UserError as error:
        yield Finding("FAIL", "startup", str(error))
    finally:
        body.close()


def _state(status: BodyStatus, homed: bool, rig: Rig, config: StretchConfig) -> Iterator[Finding]:
    if homed:
        yield Finding("ok", "homed", "yes")
    else:
        command = f"python -m robot_learning.drivers.stretch.prepare home --rig {rig.name}"
        yield Finding("FAIL", "homed", "no", f"clear the space, then {command}")
    if status.runstop:
        yield Finding("FAIL", "runstop", "pressed", "clear the way, then hold its button for two seconds")
    else:
        yield Finding("ok", "runstop", "off")
    volts = f"{status.battery_v:.1f} V"
    if status.battery_v < config.low_battery_v:
        yield Finding("FAIL", "battery", f"{volts}, below {config.low_battery_v:g} V", "charge it")
    else:
        yield Finding("ok", "battery", volts)
    if not config.collision_manager:
        yield Finding("--", "collisions with itself", "nobody watches: stretch.collision_manager is false")
