"""The parts of a rig file that say how it is driven: topics, execution of chunks, simulation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen

# Message type to what can be read out of it.
FIELDS = {
    "sensor_msgs/JointState": ("position", "velocity", "effort"),
    "geometry_msgs/PoseStamped": ("position", "orientation"),
    "geometry_msgs/TwistStamped": ("linear", "angular", "twist"),
    "geometry_msgs/WrenchStamped": ("force", "torque", "wrench"),
    "geometry_msgs/PointStamped": ("point",),
    "nav_msgs/Odometry": ("pose2d", "velocity2d"),
    "sensor_msgs/Image": ("image",),
    "sensor_msgs/CompressedImage": ("image",),
}


class TopicConfig(Frozen):
    """Where a stream comes from, on stations that run the drivers of other makers.

    Attributes:
        topic: relative to the rig's namespace, or absolute.
        field: what is read out of the message, see `FIELDS`.
        names: joints, in the stream's order; empty: as the message has them.
        scale: what numbers are multiplied with, e.g. 2 for a gripper's width from one of two fingers.
        reliability: as the publisher has it; a reliable subscriber gets nothing from a best-effort publisher.
    """

    topic: str
    type: Literal[
        "sensor_msgs/JointState",
        "geometry_msgs/PoseStamped",
        "geometry_msgs/TwistStamped",
        "geometry_msgs/WrenchStamped",
        "geometry_msgs/PointStamped",
        "nav_msgs/Odometry",
        "sensor_msgs/Image",
        "sensor_msgs/CompressedImage",
    ]
    field: str
    names: tuple[str, ...] = ()
    scale: float = 1.0
    reliability: Literal["reliable", "best_effort"] = "best_effort"

    @model_validator(mode="after")
    def _check(self) -> TopicConfig:
        if self.field not in FIELDS[self.type]:
            raise ValueError(f"a {self.type} has no field '{self.field}'; allowed: {', '.join(FIELDS[self.type])}")
        return self


class ExecutionConfig(Frozen):
    """How chunks become commands.

    Attributes:
        method: `timestamp`: each action at its own time; `ensemble`: mean of all chunks' actions for a time, the
            oldest weighted most (Zhao et al., arXiv 2304.13705); `rtc`: the next chunk begins with what is already
            committed (real-time chunking, arXiv 2506.07339), for diffusion policies.
        actuator_delay_s: between a command and its motion, as calibrated; commands are sent so much earlier.
        margin_s: an action due sooner than this is too late to send.
        replan_s: from one observation to the next that a chunk is asked for; 0: as soon as the last chunk has come.
            None: after as many actions as the policy was evaluated with (its Ta); each step with `ensemble`.
        hold_s: how long the last action is held after its chunk ran out; then the policy stops, and says so.
    """

    method: Literal["timestamp", "ensemble", "rtc"] = "timestamp"
    actuator_delay_s: Annotated[float, Field(ge=0, lt=1)] = 0.0
    margin_s: Annotated[float, Field(ge=0, lt=1)] = 0.01
    replan_s: Annotated[float, Field(ge=0, lt=10)] | None = None
    hold_s: Annotated[float, Field(ge=0, lt=10)] = 0.5


class ServerConfig(Frozen):
    """Where the policy server is.

    Attributes:
        endpoint: `tcp://host:port`. Beyond the local machine both sides need keys: `robot-learning serve --help`.
        keys: folder of the CURVE keys; empty: none, for the local machine only.
    """

    endpoint: str = "tcp://127.0.0.1:5757"
    keys: str = ""


class SimulationConfig(Frozen):
    """What a simulated rig has on its table.

    Attributes:
        task: `pick` for a Stretch, the others for a Panda.
        spread: share of the task's region in which objects and tool begin; 1 is all of it.
    """

    task: Literal["lift", "pick_place", "push", "pick"] = "lift"
    spread: Annotated[float, Field(ge=0, le=1)] = 1.0
