"""Where each stream of a rig comes from: what the rig file names, and our own nodes' topics for the rest."""

from __future__ import annotations

from robot_learning.rig import Rig
from robot_learning.rig_parts.sections import TopicConfig

GRIPPER = "gripper_width"
COMMANDER = "commander"
BASE_POSE = ("base_x", "base_y", "base_heading")
BASE_VELOCITY = ("base_forward", "base_turn")  # [m/s], [rad/s]
OPTIONAL = (COMMANDER,)  # absent where nobody publishes it
_STATE = {
    "joint_position": ("joint_states", "sensor_msgs/JointState", "position"),
    "joint_velocity": ("joint_states", "sensor_msgs/JointState", "velocity"),
    "joint_effort": ("joint_states", "sensor_msgs/JointState", "effort"),
    "ee_position": ("robot/ee_pose", "geometry_msgs/PoseStamped", "position"),
    "ee_orientation": ("robot/ee_pose", "geometry_msgs/PoseStamped", "orientation"),
    "command_success_rate": ("robot/command_success_rate", "sensor_msgs/JointState", "position"),
    "base_pose": ("robot/base", "sensor_msgs/JointState", "position"),
    "base_velocity": ("robot/base_velocity", "sensor_msgs/JointState", "position"),
    "gripper_width": ("robot/gripper", "sensor_msgs/JointState", "position"),
    "action_commanded": ("robot/commanded", "sensor_msgs/JointState", "position"),
    "action_gated": ("robot/gated", "sensor_msgs/JointState", "position"),
    "action_executed": ("robot/executed", "sensor_msgs/JointState", "position"),
    COMMANDER: ("policy/commander", "sensor_msgs/JointState", "position"),
}


def is_action(stream: str) -> bool:
    """Whether a stream is one of a command's stages."""
    return stream.startswith("action_")


def is_continuous(stream: str) -> bool:
    """Whether a stream is measured all the time, unlike commands, which come while somebody commands."""
    return stream != COMMANDER and not is_action(stream)


def action_names(rig: Rig) -> tuple[str, ...]:
    """The components of an action of this rig, as its named vectors call them."""
    if rig.robot.command == "ee_target":
        return ("x", "y", "z", *(f"rotation_6d_{i}" for i in range(6)), GRIPPER)
    return (*rig.robot.joint_names, GRIPPER, *(BASE_VELOCITY if rig.robot.base else ()))


def topics(rig: Rig, objects: tuple[str, ...] = ()) -> dict[str, TopicConfig]:
    """Stream to topic, for every stream of the rig's contract.

    Args:
        objects: the streams of a simulated rig's task.
    """
    found = {}
    joints, actions = rig.robot.joint_names, action_names(rig)
    recorded = {spec.name for spec in rig.streams()}
    for stream, (topic, type, field) in _STATE.items():
        if stream not in recorded:
            continue
        names = joints if topic == "joint_states" else actions if stream.startswith("action_") else ()
        found[stream] = _reliable(topic, type, field, names)
    for name, camera in rig.cameras.items():
        found[name] = _reliable(f"{name}/color/image_raw", "sensor_msgs/Image", "image")
        if camera.depth:
            depth = "aligned_depth_to_color/image_raw" if camera.align else "depth/image_rect_raw"
            found[f"{name}_depth"] = _reliable(f"{name}/{depth}", "sensor_msgs/Image", "image")
    for stream in objects:
        found[stream] = _reliable(f"robot/objects/{stream}", "sensor_msgs/JointState", "position")
    return found | rig.topics


def _reliable(topic: str, type: str, field: str, names: tuple[str, ...] = ()) -> TopicConfig:
    return TopicConfig.model_validate(
        {"topic": topic, "type": type, "field": field, "names": names, "reliability": "reliable"}
    )
