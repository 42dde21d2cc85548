"""libfranka's errors: what each means and what to do. Shown by the driver, printed in docs/hardware/franka.md.

Names: https://frankarobotics.github.io/libfranka/latest/structfranka_1_1Errors.html
"""

from __future__ import annotations

_PLACE = "bring the arm out of it by hand (release the joints in Desk, or guide it), then recover"
_REFERENCE = "a command jumped; see that only this driver commands the arm, lower the rig's limits, then recover"
_CONTACT = "look at what the arm touches and free it, then recover; raise franka.collision only for planned contact"
_RETRY = "recover; if it comes back, restart the robot and tell Franka's support what Desk's log says"
_DESK = "look into Desk, clear it there, then recover"

# name: what it means, what to do
ERRORS: dict[str, tuple[str, str]] = {
    "joint_position_limits_violation": ("a joint is beyond its range", _PLACE),
    "cartesian_position_limits_violation": ("the tool is beyond a limit set in Desk", _PLACE),
    "self_collision_avoidance_violation": ("the arm came near to itself", _PLACE),
    "joint_velocity_violation": ("a joint is too fast", "lower limits.ee_speed_max_m_s or joint_velocity_max, recover"),
    "cartesian_velocity_violation": ("the tool is too fast", "lower limits.ee_speed_max_m_s, then recover"),
    "force_control_safety_violation": ("a force controller went beyond its limits", _RETRY),
    "joint_reflex": ("external torque on a joint above franka.collision.torque_upper_nm: a collision", _CONTACT),
    "cartesian_reflex": ("external force on the tool above franka.collision.force_upper_n_nm: a collision", _CONTACT),
    "max_goal_pose_deviation_violation": ("the arm did not arrive at the goal of a motion", _RETRY),
    "max_path_pose_deviation_violation": ("the arm left the path of a motion", _RETRY),
    "cartesian_velocity_profile_safety_violation": ("a motion's speed profile is not allowed", _RETRY),
    "joint_position_motion_generator_start_pose_invalid": ("a joint motion did not begin where the arm is", _REFERENCE),
    "joint_motion_generator_position_limits_violation": ("a commanded joint is beyond its range", _REFERENCE),
    "joint_motion_generator_velocity_limits_violation": ("a commanded joint speed is too high", _REFERENCE),
    "joint_motion_generator_velocity_discontinuity": ("a commanded joint speed jumped", _REFERENCE),
    "joint_motion_generator_acceleration_discontinuity": ("a commanded joint acceleration jumped", _REFERENCE),
    "cartesian_position_motion_generator_start_pose_invalid": (
        "a tool motion did not begin where the arm is",
        _REFERENCE,
    ),
    "cartesian_motion_generator_elbow_limit_violation": ("a commanded elbow is beyond its limits", _REFERENCE),
    "cartesian_motion_generator_velocity_limits_violation": ("a commanded tool speed is too high", _REFERENCE),
    "cartesian_motion_generator_velocity_discontinuity": ("a commanded tool speed jumped", _REFERENCE),
    "cartesian_motion_generator_acceleration_discontinuity": ("a commanded tool acceleration jumped", _REFERENCE),
    "cartesian_motion_generator_elbow_sign_inconsistent": ("a commanded elbow changed side", _REFERENCE),
    "cartesian_motion_generator_start_elbow_invalid": ("a motion did not begin with the elbow where it is", _REFERENCE),
    "cartesian_motion_generator_joint_position_limits_violation": (
        "a tool pose needs a joint beyond its range",
        _REFERENCE,
    ),
    "cartesian_motion_generator_joint_velocity_limits_violation": (
        "a tool motion needs a joint too fast, as near a singular pose",
        _REFERENCE,
    ),
    "cartesian_motion_generator_joint_velocity_discontinuity": ("a tool motion made a joint's speed jump", _REFERENCE),
    "cartesian_motion_generator_joint_acceleration_discontinuity": (
        "a tool motion made a joint's acceleration jump",
        _REFERENCE,
    ),
    "cartesian_position_motion_generator_invalid_frame": ("a commanded pose is no pose", _REFERENCE),
    "force_controller_desired_force_tolerance_violation": ("a commanded force is not reached", _RETRY),
    "controller_torque_discontinuity": (
        "a commanded torque jumped by more than 1 Nm in a millisecond",
        "lower franka.torque_step_max_nm; a weak network makes it worse; then recover",
    ),
    "start_elbow_sign_inconsistent": ("a motion began with the elbow on the other side", _REFERENCE),
    "communication_constraints_violation": (
        "20 commands in a row did not come in time",
        "see `robot-learning doctor --rig`: real-time kernel, CPU governor, network, other load; then recover",
    ),
    "power_limit_violation": ("the arm needs more power than allowed", "move slower or with less load, then recover"),
    "joint_p2p_insufficient_torque_for_planning": (
        "too much load for a motion of Desk",
        "check franka.load and what Desk knows of the tool, then recover",
    ),
    "tau_j_range_violation": (
        "a joint torque beyond its range",
        "check franka.load and what the arm pushes against, then recover",
    ),
    "instability_detected": (
        "the control loop oscillates",
        "lower the stiffness, raise the damping of the preset; check franka.load; then recover",
    ),
    "joint_move_in_wrong_direction": ("a joint beyond its range was moved farther out", _PLACE),
    "cartesian_spline_motion_generator_violation": ("a motion of Desk is not allowed", _DESK),
    "joint_via_motion_generator_planning_joint_limit_violation": (
        "a motion of Desk goes beyond a joint's range",
        _DESK,
    ),
    "base_acceleration_initialization_timeout": ("the sensor of the base did not start", _RETRY),
    "base_acceleration_invalid_reading": ("the sensor of the base gives nonsense", _RETRY),
}
NAMES = tuple(ERRORS)


def mask(errors: object) -> int:
    """libfranka's errors as one number, a bit each, in the order of `NAMES`; unknown fields are left out."""
    return sum(1 << i for i, name in enumerate(NAMES) if getattr(errors, name, False))


def names(mask: int) -> list[str]:
    """The names in a number from :func:`mask`."""
    return [name for i, name in enumerate(NAMES) if mask >> i & 1]


def explain(found: list[str]) -> str:
    """Each error, what it means and what to do, in one line; empty for none."""
    return "; ".join(f"{name}: {ERRORS[name][0]}. To do: {ERRORS[name][1]}" for name in found)
