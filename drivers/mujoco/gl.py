"""Which OpenGL MuJoCo renders with; must be settled before `import mujoco`."""

from __future__ import annotations

import ctypes.util
import importlib
import os
from typing import Any

from robot_learning.errors import UserError

APT = "apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri (or libosmesa6 and MUJOCO_GL=osmesa)"


def choose_backend() -> None:
    """Set MUJOCO_GL where nobody has and there is no display: EGL if it is installed, else OSMesa."""
    if os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY"):
        return
    for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = name
            return


def make_context(width_px: int, height_px: int) -> Any:
    """An OpenGL context of the chosen kind, even where `import mujoco` came before the choice."""
    name = os.environ.get("MUJOCO_GL", "").lower()
    module = importlib.import_module(f"mujoco.{name}" if name in ("egl", "osmesa") else "mujoco")
    return module.GLContext(width_px, height_px)


def no_rendering(cause: Exception | str) -> UserError:
    """The error for a machine that can't render."""
    return UserError(f"MuJoCo can't render here ({' '.join(str(cause).split())}); install a software renderer: {APT}.")
