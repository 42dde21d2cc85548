"""What each node offers, as data: its nodes create exactly this, and `docs/ros.md` is written from it.

Names are relative to the rig's namespace; `~/` stands for the node's own name. `{camera}`, `{stream}`
stand for each camera of the rig and each stream of its task.
"""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True)
class Qos:
    """A quality of service: what is promised to subscribers, and why."""

    reliability: str
    durability: str
    depth: int
    why: str


QOS = {
    "state": Qos("reliable", "volatile", 200, "a second of samples at 200 Hz, none lost to a short stall"),
    "image": Qos("reliable", "volatile", 10, "whole frames; best effort drops those larger than a packet"),
    "command": Qos("reliable", "volatile", 10, "each reaches the gate, which refuses an old one by its stamp"),
    "latched": Qos("reliable", "transient_local", 1, "whoever joins late gets the newest at once"),
    "event": Qos("reliable", "volatile", 10, "one-off messages"),
    "sensor": Qos("best_effort", "volatile", 10, "what drivers of other makers publish; reliable ones match, too"),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        low, high: range of a number; None: none.
        choices: what a string may be; empty: anything.
        changeable: whether it may change while the node runs.
    """

    name: str
    default: Value
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changeable: bool = False


@dataclass(frozen=True)
class Topic:
    """One topic: its name, message type (`package/Name`), quality of service (a key of `QOS`)."""

    name: str
    type: str
    qos: str
    text: str


@dataclass(frozen=True)
class Service:
    """One service: its name and type (`package/Name`)."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Node:
    """One executable.

    Attributes:
        name: of the node, unless it is renamed.
        executable: what `ros2 run robot_learning` calls it.
        calls: services of other nodes that it may call.
    """

    name: str
    executable: str
    text: str
    parameters: tuple[Parameter, ...] = ()
    publishes: tuple[Topic, ...] = ()
    subscribes: tuple[Topic, ...] = ()
    serves: tuple[Service, ...] = ()
    calls: tuple[Service, ...] = ()


COMMON = (
    Parameter("rig", "", "name of a rig in hardware_configs/, or the path of a rig file"),
    Parameter("autostart", True, "configure and activate at once, without a lifecycle manager"),
    Parameter("diagnostics_rate_hz", 1.0, "how often /diagnostics is told", 0.1, 10.0),
)
DIAGNOSTICS = Topic("/diagnostics", "diagnostic_msgs/DiagnosticArray", "event", "rate, jitter, age, drops, faults")

_TARGETS = (
    Topic("~/target", "sensor_msgs/JointState", "command",
          "one target as a named vector: name is the action's components, position their values"),
    Topic("~/target_pose", "geometry_msgs/PoseStamped", "command", "one tool pose; the gripper keeps what it was told"),
    Topic("~/target_joints", "sensor_msgs/JointState", "command", "joints by name, and perhaps gripper_width"),
    Topic("~/target_gripper", "sensor_msgs/JointState", "command", "gripper_width, used by the next target_pose"),
    Topic("~/target_trajectory", "trajectory_msgs/JointTrajectory", "command", "joints over time; the newest replaces"),
)  # fmt: skip

_ROBOT_PUBLISHES = (
    Topic("joint_states", "sensor_msgs/JointState", "state", "measured position [rad], velocity, effort [Nm]"),
    Topic(
        "~/desired_joint_states",
        "sensor_msgs/JointState",
        "state",
        "what the controller tells the joints: position [rad], velocity",
    ),
    Topic("~/ee_pose", "geometry_msgs/PoseStamped", "state", "measured tool pose in the base frame"),
    Topic("~/ee_twist", "geometry_msgs/TwistStamped", "state", "measured tool velocity in the base frame"),
    Topic("~/wrench", "geometry_msgs/WrenchStamped", "state", "force and torque at the tool, estimated from effort"),
    Topic("~/gripper", "sensor_msgs/JointState", "state", "gripper_width [m] between the fingers"),
    Topic(
        "~/command_success_rate",
        "sensor_msgs/JointState",
        "state",
        "share of the control commands that came in time, of robots that count them",
    ),
    Topic("~/base", "sensor_msgs/JointState", "state", "of a mobile base: base_x, base_y [m], base_heading [rad]"),
    Topic("~/base_velocity", "sensor_msgs/JointState", "state", "base_forward [m/s] and base_turn [rad/s], measured"),
    Topic("~/commanded", "sensor_msgs/JointState", "state", "each target as it came, as a named vector"),
    Topic("~/gated", "sensor_msgs/JointState", "state", "what the gate made of it; what was held, where it refused"),
    Topic("~/executed", "sensor_msgs/JointState", "state", "what the robot says it will do"),
    Topic("~/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "the gate's state, why it stopped, trips by name"),
)
_ROBOT_SERVES = (
    Service("~/stop", "std_srvs/Trigger", "decelerate and hold, now; stays so until ~/recover"),
    Service("~/recover", "std_srvs/Trigger", "acknowledge a stop; the robot takes commands again"),
    Service("~/home", "std_srvs/Trigger", "move to the home position, through the gate; refused while commanded"),
)
_CAMERA = (
    ("color/image_raw", "sensor_msgs/Image", "rgb8"),
    ("color/image_raw/compressed", "sensor_msgs/CompressedImage", "JPEG, made while somebody listens"),
    ("color/camera_info", "sensor_msgs/CameraInfo", "intrinsics"),
    ("aligned_depth_to_color/image_raw", "sensor_msgs/Image", "16UC1 [mm], 0 where nothing returned"),
    ("aligned_depth_to_color/camera_info", "sensor_msgs/CameraInfo", "intrinsics, those of the colour image"),
)
_DEVICE_CAMERA = (
    *_CAMERA,
    ("depth/image_rect_raw", "sensor_msgs/Image", "16UC1 [mm] as the depth camera sees it: with `align: false`"),
    ("depth/camera_info", "sensor_msgs/CameraInfo", "intrinsics of the depth camera"),
    ("infra1/image_rect_raw", "sensor_msgs/Image", "mono8, left: with `infrared: true`"),
    ("infra1/camera_info", "sensor_msgs/CameraInfo", "intrinsics"),
    ("infra2/image_rect_raw", "sensor_msgs/Image", "mono8, right: with `infrared: true`"),
    ("infra2/camera_info", "sensor_msgs/CameraInfo", "intrinsics, the distance from the left one in P"),
)

ROBOT = Node(
    "robot", "robot_node",
    "A robot behind the gate: state out, targets in. Two publishers of targets at once stop it.",
    COMMON, (*_ROBOT_PUBLISHES, DIAGNOSTICS), _TARGETS, _ROBOT_SERVES,
)  # fmt: skip
SIM = Node(
    "robot", "sim_node",
    "The MuJoCo rig: robot_node with the simulated robot, its cameras and its task in one process.",
    (
        *COMMON,
        Parameter("seed", 0, "the start that ~/reset makes", 0, 2**31 - 1, changeable=True),
        Parameter("cameras", True, "render and publish the cameras"),
    ),
    (
        *_ROBOT_PUBLISHES,
        *(Topic(f"{{camera}}/{name}", type, "image", text) for name, type, text in _CAMERA),
        Topic("~/objects/{stream}", "sensor_msgs/JointState", "state", "the task's own streams, as named vectors"),
        Topic("~/success", "std_msgs/Bool", "latched", "whether the task's condition has held since the reset"),
        DIAGNOSTICS,
    ),
    _TARGETS,
    (*_ROBOT_SERVES, Service("~/reset", "std_srvs/Trigger", "place arm and objects anew, by the parameter seed")),
)  # fmt: skip
CAMERA = Node(
    "camera", "camera_node",
    "One camera of the rig. Topics are named as realsense-ros names them.",
    (*COMMON, Parameter("camera", "", "which of the rig's cameras; empty: the one called like the node")),
    (
        *(Topic(f"~/{name}", type, "image", text) for name, type, text in _DEVICE_CAMERA),
        Topic("~/device", "diagnostic_msgs/DiagnosticStatus", "latched",
              "serial number, firmware, lenses, what its stamps are, what it lost; goes into episodes"),
        DIAGNOSTICS,
    ),
)  # fmt: skip
TELEOP = Node(
    "teleop", "teleop_node",
    "A person, or a script in a person's place, as a source of targets. The arm moves only while the dead-man is held.",
    (
        *COMMON,
        Parameter("device", "", "input device; empty: the rig's",
                  choices=("", "keyboard", "gamepad", "spacemouse", "web", "scripted")),
        Parameter("speed_scale", 1.0, "of the rig's teleoperation speeds", 0.05, 1.0, changeable=True),
        Parameter("episodes", 0, "scripted: how many demonstrations to give, then end; 0: no end", 0, 1_000_000),
        Parameter("first_seed", 0, "scripted: seed of the first demonstration", 0, 2**31 - 1),
        Parameter("record", True, "scripted: have the recorder record each demonstration"),
    ),
    (
        Topic("robot/target", "sensor_msgs/JointState", "command", "where the tool or the joints should be"),
        Topic("~/twist", "geometry_msgs/TwistStamped", "state", "the commanded velocity of the tool"),
        Topic("~/dead_man", "std_msgs/Bool", "latched", "whether the dead-man switch is held"),
        Topic("recorder/command", "std_msgs/String", "event", "start, success, failure, discard, mark"),
        DIAGNOSTICS,
    ),
    (
        Topic("joint_states", "sensor_msgs/JointState", "sensor", "to begin where the robot is"),
        Topic("robot/ee_pose", "geometry_msgs/PoseStamped", "sensor", "to begin where the robot is"),
        Topic("robot/gripper", "sensor_msgs/JointState", "sensor", "to begin where the gripper is"),
        Topic("robot/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "to tell the operator of a stop"),
        Topic("recorder/status", "diagnostic_msgs/DiagnosticStatus", "latched", "web: to show what is recorded"),
        Topic("robot/gated", "sensor_msgs/JointState", "sensor", "to go on from where the robot was told to be"),
        Topic("robot/objects/{stream}", "sensor_msgs/JointState", "sensor", "scripted: where the task's objects are"),
        Topic("robot/success", "std_msgs/Bool", "latched", "scripted: whether the task is done"),
    ),
    (),
    (
        Service("robot/stop", "std_srvs/Trigger", "the operator's stop key"),
        Service("robot/recover", "std_srvs/Trigger", "the operator's key for it"),
        Service("policy/start", "std_srvs/Trigger", "the operator's key for it"),
        Service("policy/pause", "std_srvs/Trigger", "the operator's key for it"),
        Service("policy/resume", "std_srvs/Trigger", "the operator's key for it"),
        Service("policy/take_over", "std_srvs/Trigger", "the operator's key for it"),
        Service("policy/hand_back", "std_srvs/Trigger", "the operator's key for it"),
        Service("robot/reset", "std_srvs/Trigger", "scripted: a new start"),
        Service("recorder/start", "std_srvs/Trigger", "scripted: each demonstration is an episode"),
        Service("recorder/success", "std_srvs/Trigger", "scripted: the task was done"),
        Service("recorder/failure", "std_srvs/Trigger", "scripted: it was not done in time"),
        Service("recorder/discard", "std_srvs/Trigger", "scripted: the gate stopped"),
    ),
)  # fmt: skip
RECORDER = Node(
    "recorder", "recorder_node",
    "Writes episodes of whatever topics the rig names into the store, crash-safe.",
    (
        *COMMON,
        Parameter("store", "", "folder of the store; made if there is none"),
        Parameter("task", "", "what is to be done, as one would tell a person", changeable=True),
        Parameter("operator", "", "who demonstrates", changeable=True),
        Parameter("max_gap_s", 1.0, "a stream silent for longer ends the episode as truncated; 0: never", 0.0, 60.0),
    ),
    (
        Topic("~/status", "diagnostic_msgs/DiagnosticStatus", "latched", "elapsed, rates, drops, disk left"),
        Topic("~/episode", "std_msgs/String", "latched", "id of the last sealed episode"),
        DIAGNOSTICS,
    ),
    (
        Topic("~/command", "std_msgs/String", "event", "start, stop, success, failure, discard, mark"),
        Topic("~/task", "std_msgs/String", "latched", "text of the task"),
        Topic("{camera}/device", "diagnostic_msgs/DiagnosticStatus", "latched", "of each camera, for the episode"),
        Topic("{stream}", "as the rig says", "as the rig says", "each stream of the rig's contract"),
    ),
    (
        Service("~/start", "std_srvs/Trigger", "begin an episode; refused by name of what is missing"),
        Service("~/stop", "std_srvs/Trigger", "end it without an outcome"),
        Service("~/success", "std_srvs/Trigger", "end it as a success"),
        Service("~/failure", "std_srvs/Trigger", "end it as a failure"),
        Service("~/discard", "std_srvs/Trigger", "throw it away"),
        Service("~/mark", "std_srvs/Trigger", "remember this instant in the episode's metadata"),
    ),
)  # fmt: skip
POLICY = Node(
    "policy", "policy_node",
    "Asks the policy server for chunks and sends each action when it is due. Hands over to a person and back.",
    (
        *COMMON,
        Parameter("server", "", "endpoint of the policy server; empty: the rig's"),
        Parameter("execution", "", "how chunks are executed; empty: the rig's",
                  choices=("", "timestamp", "ensemble", "rtc")),
        Parameter("deadline_s", 1.0, "a reply later than this is dropped with its connection", 0.01, 10.0),
        Parameter("start_paused", True, "wait for ~/start before acting"),
    ),
    (
        Topic("robot/target", "sensor_msgs/JointState", "command", "the action that is due"),
        Topic("~/mode", "diagnostic_msgs/DiagnosticStatus", "latched", "idle, policy, paused, human, stopped, and why"),
        Topic("~/commander", "sensor_msgs/JointState", "state", "who commands, for each action: human is 0 or 1"),
        Topic("~/timing", "diagnostic_msgs/DiagnosticStatus", "event", "observation age, latency, of each chunk"),
        DIAGNOSTICS,
    ),
    (
        Topic("~/human_target", "sensor_msgs/JointState", "command", "a person's targets, passed on in mode human"),
        Topic("~/instruction", "std_msgs/String", "latched", "what the policy is to do"),
        Topic("robot/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "to stop when the gate stops"),
        Topic("{stream}", "as the rig says", "as the rig says", "each stream that the policy observes"),
    ),
    (
        Service("~/start", "std_srvs/Trigger", "begin to act, on fresh observations"),
        Service("~/stop", "std_srvs/Trigger", "end acting; the robot holds"),
        Service("~/pause", "std_srvs/Trigger", "hold; the policy keeps its server"),
        Service("~/resume", "std_srvs/Trigger", "go on after pause, on fresh observations"),
        Service("~/take_over", "std_srvs/Trigger", "a person commands from now on; recorded as an intervention"),
        Service("~/hand_back", "std_srvs/Trigger", "the policy commands again"),
    ),
)  # fmt: skip
REPLAY = Node(
    "replay", "replay_node",
    "Commands a recorded episode's actions again, through the gate, and reports how far the motion strayed.",
    (
        *COMMON,
        Parameter("store", "", "folder of the store"),
        Parameter("episode", "", "id of the episode; empty: the newest"),
        Parameter("speed", 1.0, "of the recorded one", 0.1, 1.0),
        Parameter("output", "outputs/replay", "folder of the report"),
    ),
    (Topic("robot/target", "sensor_msgs/JointState", "command", "the recorded action that is due"), DIAGNOSTICS),
    (
        Topic("joint_states", "sensor_msgs/JointState", "sensor", "to compare with the recorded motion"),
        Topic("robot/ee_pose", "geometry_msgs/PoseStamped", "sensor", "to compare with the recorded motion"),
        Topic("robot/gripper", "sensor_msgs/JointState", "sensor", "to begin where the gripper is"),
        Topic("robot/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "to end when the gate stops"),
    ),
)  # fmt: skip

ROLLOUT = Node(
    "rollout", "rollout_node",
    "Closed-loop episodes of a policy on a simulated rig, one for each seed; ends when they are done.",
    (
        *COMMON,
        Parameter("rollouts", 20, "how many episodes", 1, 1_000_000),
        Parameter("first_rollout_seed", 100_000, "seed of the first; demonstrations use those below", 0, 2**31 - 1),
        Parameter("results", "outputs/rollouts.json", "file for what became of each"),
    ),
    (DIAGNOSTICS,),
    (
        Topic("robot/success", "std_msgs/Bool", "latched", "whether the task is done"),
        Topic("robot/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "the gate's trips"),
        Topic("policy/mode", "diagnostic_msgs/DiagnosticStatus", "latched", "whether the policy stopped by itself"),
        Topic("policy/timing", "diagnostic_msgs/DiagnosticStatus", "event", "times of inference"),
    ),
    (),
    (
        Service("robot/reset", "std_srvs/Trigger", "a new start"),
        Service("policy/start", "std_srvs/Trigger", "the policy acts"),
        Service("policy/stop", "std_srvs/Trigger", "the episode is over"),
        Service("recorder/start", "std_srvs/Trigger", "each rollout is an episode"),
        Service("recorder/success", "std_srvs/Trigger", "the task was done"),
        Service("recorder/failure", "std_srvs/Trigger", "it was not done in time"),
    ),
)  # fmt: skip

LIVE = Node(
    "live", "live_node",
    "Shows the rig in a browser on this machine, through Rerun's viewer. It commands nothing.",
    (
        *COMMON,
        Parameter("port", 9090, "where the browser looks", 1024, 65535),
        Parameter("data_port", 9876, "where the viewer's data goes", 1024, 65535),
        Parameter("memory", "500MB", "what is kept for browsers that come later"),
        Parameter("browser", False, "open the page in this machine's browser"),
    ),
    (DIAGNOSTICS,),
    (
        Topic("robot/gate", "diagnostic_msgs/DiagnosticStatus", "latched", "state, reason, trips"),
        Topic("recorder/status", "diagnostic_msgs/DiagnosticStatus", "latched", "what is recorded"),
        Topic("recorder/episode", "std_msgs/String", "latched", "what was sealed"),
        Topic("policy/mode", "diagnostic_msgs/DiagnosticStatus", "latched", "who acts"),
        Topic("/diagnostics", "diagnostic_msgs/DiagnosticArray", "event", "complaints of all nodes"),
        Topic("{stream}", "as the rig says", "sensor", "cameras, joints, tool and gripper"),
    ),
)  # fmt: skip

CALIBRATE = Node(
    "calibrate", "calibrate_node",
    "Guides through the poses of a camera's calibration, and writes the result to the rig file. It commands nothing.",
    (
        *COMMON,
        Parameter("kind", "hand_eye", "hand_eye: camera on the hand, board that stands; camera: the other way round",
                  choices=("hand_eye", "camera")),
        Parameter("camera", "", "which of the rig's cameras"),
        Parameter("squares_x", 7, "squares of the board across", 3, 30),
        Parameter("squares_y", 5, "and down", 3, 30),
        Parameter("square_m", 0.035, "side of a square, as measured on the print", 0.001, 1.0),
        Parameter("marker_m", 0.026, "side of the marker in it", 0.001, 1.0),
        Parameter("dictionary", "DICT_4X4_50", "the markers' dictionary"),
        Parameter("intrinsics", "found", "found: from the same pictures; camera_info: as the camera tells them",
                  choices=("found", "camera_info"), changeable=True),
        Parameter("output", "outputs/calibration", "folder of the report"),
    ),
    (
        Topic("~/status", "diagnostic_msgs/DiagnosticStatus", "latched", "poses so far, their spread, what is missing"),
        DIAGNOSTICS,
    ),
    (
        Topic("{stream}", "as the rig says", "as the rig says", "the camera and the tool's measured pose"),
        Topic("{camera}/color/camera_info", "sensor_msgs/CameraInfo", "sensor", "intrinsics"),
    ),
    (
        Service("~/collect", "std_srvs/Trigger", "take this pose; refused while the tool moves or no board is seen"),
        Service("~/undo", "std_srvs/Trigger", "throw the last pose away"),
        Service("~/solve", "std_srvs/Trigger", "where the camera is; refused, by name, where the poses can't tell"),
        Service("~/write", "std_srvs/Trigger", "put the result into the rig file"),
    ),
)  # fmt: skip

NODES = (ROBOT, SIM, CAMERA, TELEOP, RECORDER, POLICY, REPLAY, ROLLOUT, LIVE, CALIBRATE)
