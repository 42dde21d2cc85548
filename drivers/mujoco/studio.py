"""Rendering beside the physics: exposures are copies of the scene's state, developed in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import mujoco
import numpy as np

from robot_learning.drivers.interfaces import CameraFrame
from robot_learning.drivers.mujoco.camera import Renderer, intrinsics
from robot_learning.drivers.mujoco.realtime import RealTime
from robot_learning.drivers.mujoco.scene import check_cameras
from robot_learning.errors import UserError
from robot_learning.rig_parts.cameras import CameraConfig


class _Exposure(NamedTuple):
    stamp_ns: int
    sequence: int
    depth: bool
    qpos: np.ndarray
    mocap_pos: np.ndarray
    mocap_quat: np.ndarray


class Wanted(NamedTuple):
    """What somebody wants of a camera just now."""

    colour: bool
    depth: bool


class Studio:
    """All cameras of a simulated rig.

    An exposure takes microseconds of the physics' time. One that comes while the last of its camera is not yet
    developed replaces it: the hole in the sequence is the record of it.

    Args:
        wanted: asked at each exposure; what nobody wants is not rendered.
        deliver: called with each frame, in the studio's thread.

    Attributes:
        model, data: the scene as the renderers see it, at the newest exposure that was developed.
        missed: exposures of each camera that never were.
    """

    def __init__(
        self,
        cameras: dict[str, CameraConfig],
        time: RealTime,
        wanted: Callable[[str], Wanted],
        deliver: Callable[[str, CameraFrame], None],
    ) -> None:
        check_cameras(cameras, time.world.model)
        self._cameras, self._time = cameras, time
        self._wanted, self._deliver = wanted, deliver
        self.model, self.data = time.world.model, mujoco.MjData(time.world.model)
        self._sequence = dict.fromkeys(cameras, 0)
        self.missed = dict.fromkeys(cameras, 0)
        self._exposed: dict[str, _Exposure] = {}
        self._some = threading.Condition()
        self._ready = threading.Event()
        self._ending = False
        self._failure: UserError | None = None
        self._thread = threading.Thread(target=self._run, name="studio", daemon=True)
        for name, config in cameras.items():
            time.world.every(config.rate_hz, lambda now_ns, name=name: self._expose(name, now_ns))  # type: ignore[misc]

    def open(self) -> None:
        """Begin; raises UserError where the machine has no OpenGL."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the thread, which gives the renderers back."""
        with self._some:
            self._ending = True
            self._some.notify()
        if self._thread.is_alive():
            self._thread.join()

    def intrinsics(self, name: str) -> np.ndarray:
        """The pinhole matrix (3, 3) [px] of a camera."""
        config = self._cameras[name]
        return intrinsics(self._time.world, name, config.width_px, config.height_px)

    def _expose(self, name: str, now_ns: int) -> None:
        """In the physics' thread: remember what the scene looks like."""
        wanted = self._wanted(name)
        if not (wanted.colour or wanted.depth):
            return
        sequence = self._sequence[name]
        self._sequence[name] += 1
        data = self._time.world.data
        stamp = self._time.stamp_ns(now_ns)
        exposure = _Exposure(
            stamp, sequence, wanted.depth, data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()
        )
        with self._some:
            if name in self._exposed:
                self.missed[name] += 1
            self._exposed[name] = exposure
            self._some.notify()

    def _run(self) -> None:
        try:
            # An OpenGL context belongs to the thread that made it.
            self._renderers = {
                name: Renderer(self, config.width_px, config.height_px) for name, config in self._cameras.items()
            }
        except UserError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        try:
            while (exposed := self._next()) is not None:
                for name, exposure in exposed.items():
                    self._develop(name, exposure)
        finally:
            for renderer in self._renderers.values():
                renderer.close()

    def _next(self) -> dict[str, _Exposure] | None:
        with self._some:
            while not self._exposed and not self._ending:
                self._some.wait()
            exposed, self._exposed = self._exposed, {}
            return None if self._ending else exposed

    def _develop(self, name: str, exposure: _Exposure) -> None:
        data = self.data
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = exposure[3:]
        mujoco.mj_kinematics(self.model, data)
        colour, depth = self._renderers[name].render(name, exposure.depth)
        self._deliver(name, CameraFrame(exposure.stamp_ns, exposure.sequence, colour, depth))
