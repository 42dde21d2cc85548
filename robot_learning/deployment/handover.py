"""Whether one commander can go on where another one left the robot."""

from __future__ import annotations

import numpy as np

from robot_learning.rig import JOINTS, Rig
from robot_learning.rotation import rotation_6d_to_matrix, rotation_distance


def distance_too_far(rig: Rig, action: np.ndarray, last: np.ndarray) -> str:
    """How far an action (Da,) is from the last one sent, where that is farther than a first target may be; else "".

    The limits are the gate's for a first target: it can't check this itself, for it sees one source of commands.
    """
    limits = rig.limits
    if rig.robot.command == "ee_target":
        metres = float(np.linalg.norm(action[:3] - last[:3]))
        matrices = rotation_6d_to_matrix(np.stack([action[3:9], last[3:9]]))
        radians = float(rotation_distance(matrices[0], matrices[1]))
    else:
        metres = 0.0
        radians = float(np.abs(action[:JOINTS] - last[:JOINTS]).max())
    if metres > limits.first_target_distance_max_m:
        return f"they are {metres:.3f} m from the robot's, at most {limits.first_target_distance_max_m:g} m is allowed"
    if radians > limits.first_target_distance_max_rad:
        return (
            f"they are {radians:.3f} rad from the robot's, "
            f"at most {limits.first_target_distance_max_rad:g} rad is allowed"
        )
    return ""
