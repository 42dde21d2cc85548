"""A simulated world that keeps pace with a clock, and the simulated robot in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.drivers.interfaces import Gated, RobotState, Target
from robot_learning.drivers.mujoco.robot import MujocoPanda, MujocoRobot
from robot_learning.drivers.mujoco.scene import PHYSICS_STEP_NS
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig

_LOST_NS = seconds_to_ns(1.0)  # farther behind than this, a world does not catch up: it goes on from now
_BACK_NS = seconds_to_ns(0.05)
_NAP_S = 0.005


class RealTime:
    """Lets a world's time pass as a clock's does.

    The world's own time starts at zero and never jumps: controllers rely on that. `stamp_ns` turns it into the
    clock's time. Where the clock was set, or the machine stood still for long, only the difference changes.

    Attributes:
        lock: held while the world advances; whoever touches the world from elsewhere holds it, too.
        worst_lag_s: how far the world was behind at most, since this was last set to 0 [s].
        jumps: how often the world's time and the clock's were joined anew.
    """

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self._clock = world, clock
        self.lock = threading.RLock()
        self.worst_lag_s, self.jumps = 0.0, 0
        self._offset_ns = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def stamp_ns(self, world_ns: int) -> int:
        """A world's instant as the clock's [ns]."""
        return world_ns + self._offset_ns

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Within: the world stands and may be changed. Afterwards its time starts anew, now."""
        with self.lock:
            newest = self.stamp_ns(self.world.now_ns())
            yield
            self._offset_ns = max(self._clock.now_ns(), newest + PHYSICS_STEP_NS)
            self.world.start()

    def catch_up(self) -> None:
        """Advance the world to the clock's now."""
        with self.lock:
            behind = self._clock.now_ns() - self.stamp_ns(self.world.now_ns())
            if not -_BACK_NS < behind < _LOST_NS:
                self._offset_ns += behind
                self.jumps += 1
                return
            self.worst_lag_s = max(self.worst_lag_s, behind / NS_PER_S)
            steps = behind // PHYSICS_STEP_NS  # whole ones that have passed: no stamp lies in the future
            if steps > 0:
                self.world.advance_to(self.world.now_ns() + steps * PHYSICS_STEP_NS)

    def run(self) -> None:
        """Keep pace in a thread of its own, until `end`."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name="physics", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """The thread ends; the world stands."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._ending.is_set():
            self.catch_up()
            left = (self.stamp_ns(self.world.next_ns()) - self._clock.now_ns()) / NS_PER_S
            time.sleep(min(max(left, 0.0), _NAP_S))


class RealTimeRobot:
    """A simulated robot as a real one behaves: its time passes by itself, any thread may ask it.

    Args:
        world: where it stands; None: in an empty scene.
        place: puts robot and scene where they begin; None: the robot at home.

    Attributes:
        simulated: which robot, by its class.
        heard: called with each new state, from the physics' thread, which holds `time.lock`.
    """

    simulated: type[MujocoRobot]

    def __init__(
        self, rig: Rig, clock: Clock, world: World | None = None, place: Callable[[Any], None] | None = None
    ) -> None:
        self.world = world or World(self.simulated.kinematics_type.scene())
        self.time = RealTime(self.world, clock)
        self._robot = self.simulated(rig, self.world)
        self.kinematics = self._robot.kinematics
        self._observers = self.kinematics.twin()
        self.heard: Callable[[RobotState], None] = lambda state: None
        home = np.array(rig.robot.home_joint_position)
        self._place = place or (lambda robot: robot.place(home))
        self.world.every(rig.robot.state_rate_hz, self._hear)

    def connect(self) -> None:
        self.restart()
        self.time.run()

    def restart(self) -> None:
        """Put everything where it begins, at rest."""
        with self.time.placing():
            self._place(self._robot)

    def observe(self) -> RobotState:
        return self._newest

    def command(self, gated: Gated) -> Target:
        with self.time.lock:
            return self._robot.command(gated)

    def stop(self) -> None:
        self._robot.stop()

    def jacobian(self, joint_position: np.ndarray) -> np.ndarray:
        """Of the tool, (6, J) at joints (J,), linear part first; for one thread, which need not be that of commands."""
        return self._observers.jacobian(joint_position)

    def disconnect(self) -> None:
        """Brake, and let the world stand once it has."""
        self.stop()
        self.time.end()

    def _hear(self, now_ns: int) -> None:
        state = self._robot.states[-1]
        self._robot.states.clear()
        self._newest = replace(state, stamp_ns=self.time.stamp_ns(state.stamp_ns))
        self.heard(self._newest)


class RealTimePanda(RealTimeRobot):
    """The simulated Panda in real time."""

    simulated = MujocoPanda
