"""The MuJoCo rig in real time: robot, cameras and task in one process."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Bool

from robot_learning.drivers.interfaces import CameraFrame, RobotState
from robot_learning.drivers.mujoco.gl import choose_backend

choose_backend()

from robot_learning.drivers.mujoco.realtime import RealTimeRobot  # noqa: E402
from robot_learning.drivers.mujoco.robot import MujocoRobot  # noqa: E402
from robot_learning.drivers.mujoco.studio import Studio, Wanted  # noqa: E402
from robot_learning.drivers.mujoco.world import World  # noqa: E402
from robot_learning.errors import ConfigError  # noqa: E402
from robot_learning.nodes import declarations as declared  # noqa: E402
from robot_learning.nodes import messages  # noqa: E402
from robot_learning.nodes.base import run  # noqa: E402
from robot_learning.nodes.camera_publisher import CameraPublisher  # noqa: E402
from robot_learning.nodes.outbox import Notices, Outbox  # noqa: E402
from robot_learning.nodes.robot_node import RobotNode  # noqa: E402
from robot_learning.nodes.state_publisher import BASE, Joint  # noqa: E402
from robot_learning.sim.kinds import kind_of  # noqa: E402
from robot_learning.sim.station import task_of  # noqa: E402

_LAG_S = 0.05  # a world farther behind the clock than this is told
_FRAMES = 8  # queued for publishing, of all cameras
_SWITCH_S = 0.001  # between Python's threads: a command must not wait 5 ms for a picture


class SimNode(RobotNode):
    """`RobotNode` with the simulated robot, its cameras and its task."""

    declaration = declared.SIM
    _studio: Studio | None = None

    def make_robot(self) -> RealTimeRobot:
        rig, task = self.rig, task_of(self.rig)
        if task is None:
            raise ConfigError(
                f"the rig {rig.name} is not simulated (robot.type: {rig.robot.type}, simulation: {rig.simulation}); "
                "start robot_node and camera_node for it."
            )
        self._task = task
        self._kind = kind_of(rig)
        self._world = World(self._kind.scene(task.objects_xml()))
        self._robot = self._kind.live(rig, self.clock, self._world, self._place)
        self._world.every(rig.policy.rate_hz, self._judge)
        self._objects = {
            name: Joint(
                self.advertise("~/objects/{stream}", stream=name), [f"{name}_{i}" for i in range(stream.shape[0])], BASE
            )
            for name, stream in task.streams.items()
        }
        self._success = self.advertise("~/success")
        self._verdicts: Notices[int] = Notices(self, self._tell_success)
        self._resets = 0
        if self.param("cameras") and rig.rendered_cameras:
            self._open_studio()
        self.serve("~/reset", self._reset)
        return self._robot

    def close(self) -> None:
        super().close()
        if self._studio is not None:
            self._studio.close()
            self._frames.close()

    # States and objects

    def hear(self, state: RobotState) -> None:
        self._states.put((state, self._task.read(self._world)))

    def publish_state(self, item: tuple[RobotState, dict[str, np.ndarray]]) -> None:
        state, objects = item
        super().publish_state(state)
        if self.active:
            for name, value in objects.items():
                self._objects[name].publish(state.stamp_ns, value)

    # The task

    def _place(self, robot: MujocoRobot) -> None:
        seed = self.param("seed")
        self._kind.place(self.rig, self._task, self._world, robot, np.random.default_rng(seed))
        self._held, self._resets = 0, self._resets + 1

    def _reset(self) -> str:
        """Place everything anew; acknowledges a stop, for nothing of before is left."""
        self._robot.restart()
        self.helm.acknowledge()
        self._gripper_width = None
        self._success.publish(Bool(data=False))
        self.tell_gate()
        return f"reset to seed {self.param('seed')}"

    def _judge(self, now_ns: int) -> None:
        """In the physics' thread, as often as an environment's step."""
        done = self._task.done(self._task.read(self._world), self._robot.observe())
        self._held = self._held + 1 if done else 0
        if self._held == self._task.hold_steps:
            self._verdicts.put(self._resets)

    def _tell_success(self, resets: int) -> None:
        if resets == self._resets:  # else it was the start before this one that came to success
            self._success.publish(Bool(data=True))

    # Cameras

    def _open_studio(self) -> None:
        cameras = self.rig.rendered_cameras
        self._frames: Outbox[tuple[str, CameraFrame]] = Outbox("frames", self._publish_frame, _FRAMES)
        studio = self._studio = Studio(cameras, self._robot.time, self._wanted, lambda *frame: self._frames.put(frame))
        self._cameras = {
            name: CameraPublisher(self, "{camera}/", name, config, studio.intrinsics(name), on_demand=True)
            for name, config in cameras.items()
        }
        studio.open()

    def _wanted(self, name: str) -> Wanted:
        camera = self._cameras[name]
        return Wanted(self.active and camera.wants_colour(), self.active and camera.wants_depth())

    def _publish_frame(self, item: tuple[str, CameraFrame]) -> None:
        name, frame = item
        if self.active:
            self._cameras[name].publish(frame)

    def diagnose(self) -> list[DiagnosticStatus]:
        lines = super().diagnose()
        if not self.configured:
            return lines
        time = self._robot.time
        lag, time.worst_lag_s = time.worst_lag_s, 0.0
        late = lag > _LAG_S
        text = f"the machine can't keep up: the simulation was {lag:.3f} s behind" if late else "ok"
        values: dict[str, Any] = {"worst_lag_s": round(lag, 4), "jumps": time.jumps}
        if self._studio is not None:
            values |= {f"not_rendered.{name}": count for name, count in self._studio.missed.items()}
            values["frames_dropped"] = self._frames.dropped
        level = messages.WARN if late else messages.OK
        return [*lines, messages.status(f"{self.get_name()}: simulation", level, text, values)]


def main(arguments: list[str] | None = None) -> None:
    """The executable `sim_node`."""
    sys.setswitchinterval(_SWITCH_S)
    run(SimNode, arguments)


if __name__ == "__main__":
    main()
