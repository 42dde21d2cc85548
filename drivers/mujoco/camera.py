"""Colour and depth from MuJoCo's own renderer, in one pass and with nothing that a policy can't use."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np

from robot_learning.drivers.interfaces import CameraFrame
from robot_learning.drivers.mujoco.gl import make_context, no_rendering
from robot_learning.drivers.mujoco.scene import check_cameras
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig_parts.cameras import CameraConfig

_DEPTH_MAX_MM = 65_535
_BACKGROUND = np.array([186, 199, 213], np.uint8).view("V3")
_open: weakref.WeakSet[Renderer] = weakref.WeakSet()


def _close_all() -> None:
    """At exit, before the OpenGL library goes."""
    for renderer in list(_open):
        renderer.close()


class Scene(Protocol):
    """What can be rendered: a world, or the model and data of a benchmark environment."""

    model: mujoco.MjModel
    data: mujoco.MjData


class Renderer:
    """Renders named cameras of a scene at one size.

    Without `fine`, multi-sampling, shadows and sky are off, which is three to four times faster.

    Args:
        fine: for pictures that people look at.
        hidden_groups: geometry groups that are not drawn, such as collision shapes.
    """

    def __init__(
        self, world: Scene, width_px: int, height_px: int, fine: bool = False, hidden_groups: Sequence[int] = ()
    ) -> None:
        self._world = world
        model = world.model
        self._size, self._fine = (height_px, width_px), fine
        samples, model.vis.quality.offsamples = model.vis.quality.offsamples, 4 if fine else 0
        try:
            self._gl = make_context(width_px, height_px)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_resizeOffscreen(width_px, height_px, self._context)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        except Exception as error:  # every OpenGL library fails with exceptions of its own
            raise no_rendering(error or type(error).__name__) from error
        finally:
            model.vis.quality.offsamples = samples
        if not _open:
            atexit.unregister(_close_all)
            atexit.register(_close_all)  # after MuJoCo's own, so that it runs before
        _open.add(self)
        # Depth is read with 1 at the near plane and 0 at the far one: floats are finest near 0.
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + model.nsite + 100)
        flags = mujoco.mjtRndFlag
        for flag in (flags.mjRND_REFLECTION, flags.mjRND_HAZE):
            self._scene.flags[flag] = False
        # A sky is a box drawn somewhere before the far plane, with a depth that no camera would measure.
        for flag in (flags.mjRND_SHADOW, flags.mjRND_SKYBOX):
            self._scene.flags[flag] = fine
        self._option = mujoco.MjvOption()
        self._option.geomgroup[list(hidden_groups)] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._viewport = mujoco.MjrRect(0, 0, width_px, height_px)

    def render(self, camera: str, depth: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Colour (H, W, 3) uint8 and, if asked for, depth (H, W) uint16 [mm], 0 where nothing is hit."""
        model, data = self._world.model, self._world.data
        self._gl.make_current()
        mujoco.mj_camlight(model, data)
        self._camera.fixedcamid = model.camera(camera).id
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )  # fmt: skip
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        colour = np.empty((*self._size, 3), np.uint8)
        buffer = np.empty(self._size, np.float32)
        mujoco.mjr_readPixels(colour, buffer, self._viewport, self._context)
        if not self._fine:
            # A pixel at once: four times quicker than by a mask over three channels.
            np.putmask(colour.reshape(-1, 3).view("V3"), buffer.reshape(-1, 1) == 0, _BACKGROUND)
        colour = np.ascontiguousarray(colour[::-1])  # OpenGL's first row is the lowest
        return colour, self._millimetres(buffer[::-1]) if depth else None

    def _millimetres(self, buffer: np.ndarray) -> np.ndarray:
        # A perspective depth buffer is linear in 1/z: 1/z = far^-1 + d (near^-1 - far^-1).
        vis, extent = self._world.model.vis, self._world.model.stat.extent
        near, far = 1 / (vis.map.znear * extent), 1 / (vis.map.zfar * extent)
        mm = 1000 / (far + buffer.astype(np.float64) * (near - far))
        return np.where((buffer > 0) & (mm <= _DEPTH_MAX_MM), np.rint(mm), 0).astype(np.uint16)

    def close(self) -> None:
        """Free the OpenGL context; a second time does nothing."""
        if self in _open:
            _open.discard(self)
            self._gl.make_current()
            self._context.free()
            self._gl.free()

    def __del__(self) -> None:
        self.close()


def intrinsics(world: Scene, camera: str, width_px: int, height_px: int) -> np.ndarray:
    """The pinhole matrix (3, 3) [px] of a camera; pixel centres are at whole numbers plus a half."""
    f = height_px / 2 / np.tan(np.deg2rad(world.model.camera(camera).fovy[0]) / 2)
    return np.array([[f, 0, width_px / 2], [0, f, height_px / 2], [0, 0, 1]])


class MujocoCamera:
    """A `Camera` of the simulated rig: exposes at the rig's rate as the world advances.

    Attributes:
        frames: exposures not yet read, oldest first.
        covered: while True, it takes none.
    """

    def __init__(self, name: str, config: CameraConfig, world: World) -> None:
        check_cameras([name], world.model)
        self.name, self._config, self._world = name, config, world
        self._renderer: Renderer | None = None
        self._sequence = 0
        self.frames: list[CameraFrame] = []
        self.covered = False
        world.every(config.rate_hz, self._expose)

    def connect(self) -> None:
        """Make the renderer; raises UserError where the machine has no OpenGL."""
        if self._renderer is None:
            self._renderer = Renderer(self._world, self._config.width_px, self._config.height_px)

    def restart(self) -> None:
        """Forget frames and count from 0 again, before the world starts anew."""
        self.frames.clear()
        self._sequence = 0

    def read(self) -> CameraFrame:
        """The newest frame not yet read; the world advances until there is one."""
        while not self.frames:
            self._world.advance_to(self._world.now_ns() + 1_000_000)
        frame = self.frames[-1]
        self.frames.clear()
        return frame

    def disconnect(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def intrinsics(self) -> np.ndarray:
        """The pinhole matrix (3, 3) [px]."""
        return intrinsics(self._world, self.name, self._config.width_px, self._config.height_px)

    def distortion(self) -> np.ndarray:
        """None: (5,) zeros."""
        return np.zeros(5)

    def _expose(self, now_ns: int) -> None:
        if self._renderer is None or self.covered:
            return
        colour, depth = self._renderer.render(self.name, self._config.depth)
        self.frames.append(CameraFrame(now_ns, self._sequence, colour, depth))
        self._sequence += 1
