"""What is installed, what is missing and what it would give, and how to mend it.

Each check returns findings; nothing here raises for what it finds. Libraries that may be broken
(torch, MuJoCo with a graphics driver) are tried in a process of their own.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlparse

from packaging.requirements import Requirement  # comes with zarr and Matplotlib

DISTRIBUTION = "robot_learning"
GIVES = {
    "learn": "training and running policies",
    "sim": "simulated tasks and videos of rollouts",
    "convert": "import and export of robomimic HDF5 and bags",
    "deploy": "policy servers, input devices, the live view",
    "calibrate": "calibration, UVC cameras",
    "franka": "Franka arms",
    "realsense": "RealSense cameras",
    "ros": "ROS 2 from wheels, for tests and for people without a ROS installation",
    "dev": "tests, linter, type checker",
}
EGL_PACKAGES = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
OSMESA_PACKAGES = "libosmesa6"
LOW_DISK_GB = 2.0

Mark = Literal["ok", "--", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        mark: `ok`, `--` for something optional that is missing, `FAIL` for something needed.
        what: the thing looked at.
        detail: what was found.
        remedy: a command or action that mends it; empty where nothing needs mending.
    """

    mark: Mark
    what: str
    detail: str
    remedy: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """All checks in order, one finding at a time; disk space is that of `folder`."""
    yield python_version()
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding("FAIL", DISTRIBUTION, "runs from its sources but is not installed", "pip install -e .")
        return
    yield Finding("ok", DISTRIBUTION, f"{distribution.version} in {Path(__file__).resolve().parent}")
    yield base_packages(distribution)
    for extra in distribution.metadata.get_all("Provides-Extra") or []:
        yield extra_packages(distribution, extra)
    yield torch_devices()
    yield rendering()
    yield ros()
    yield disk(folder)


def python_version() -> Finding:
    """Python within the range that is tested."""
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("ok", "Python", f"{version}, {sys.executable}")
    return Finding("FAIL", "Python", f"{version} is not supported", "use Python 3.11 or 3.12")


def base_packages(distribution: metadata.Distribution) -> Finding:
    """What the store, the contract and the command line need."""
    present, wrong = _installed(distribution, extra=None)
    if wrong:
        return Finding("FAIL", "base packages", "; ".join(wrong), f"pip install {_target(distribution)}")
    return Finding("ok", "base packages", ", ".join(present))


def extra_packages(distribution: metadata.Distribution, extra: str) -> Finding:
    """One optional group of packages."""
    present, wrong = _installed(distribution, extra)
    gives = GIVES.get(extra, "")
    if wrong:
        detail = f"{'; '.join(wrong)}" + (f": needed for {gives}" if gives else "")
        return Finding("--", f"[{extra}]", detail, f"pip install {_target(distribution, extra)}")
    return Finding("ok", f"[{extra}]", ", ".join(present))


def torch_devices() -> Finding:
    """Whether torch loads, and what it can compute on."""
    if find_spec("torch") is None:
        return Finding("--", "GPU", "unknown without torch")
    code, out = _try(
        "import json, torch, torchvision\n"
        "names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]\n"
        "print(json.dumps([torch.version.cuda, names]))"
    )
    if code != 0:
        return Finding("--", "torch", f"does not load: {out}", "install torch and torchvision of matching versions")
    cuda, names = json.loads(out.splitlines()[-1])
    if names:
        return Finding("ok", "GPU", f"{', '.join(names)} (CUDA {cuda})")
    why = "torch is a CPU-only build" if cuda is None else "torch sees none"
    return Finding("ok", "GPU", f"none, {why}: training and policies run on the CPU")


def rendering() -> Finding:
    """Which backend MuJoCo renders with, by rendering a picture with each."""
    if find_spec("mujoco") is None:
        return Finding("--", "rendering", "unknown without MuJoCo")
    reasons = []
    for backend in ("egl", "osmesa"):
        code, out = _try(_RENDER, MUJOCO_GL=backend)
        if code == 0:
            chosen = os.environ.get("MUJOCO_GL", "")
            if chosen == backend:
                return Finding("ok", "rendering", f"MUJOCO_GL={backend} works")
            return Finding("ok", "rendering", f"MUJOCO_GL={backend} works", f"export MUJOCO_GL={backend}")
        reasons.append(f"{backend}: {out}")
    remedy = f"apt-get install {EGL_PACKAGES} (or {OSMESA_PACKAGES}), then export MUJOCO_GL=egl (or osmesa)"
    return Finding("--", "rendering", f"no picture of a simulated camera can be made ({'; '.join(reasons)})", remedy)


_RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 2'/><geom size='.2' rgba='1 1 1 1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, "the picture is black"
"""


def ros() -> Finding:
    """Whether ROS 2 nodes can run from this Python."""
    distro = os.environ.get("ROS_DISTRO", "")
    if find_spec("rclpy") is not None:
        code, out = _try("import rclpy")
        if code == 0:
            return Finding("ok", "ROS 2", f"rclpy imports{f', distribution {distro}' if distro else ''}")
        return Finding("--", "ROS 2", f"rclpy does not load: {out}", "source /opt/ros/<distribution>/setup.bash")
    sourced = (
        f"ROS_DISTRO is {distro}, but this Python ({platform.python_version()}) has no rclpy" if distro else "none"
    )
    return Finding(
        "--", "ROS 2", f"{sourced}: needed for nodes on a robot", "source /opt/ros/<distribution>/setup.bash"
    )


def disk(folder: Path) -> Finding:
    """Free space where stores and outputs would go."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < LOW_DISK_GB:
        return Finding("--", "disk", f"{free:.1f} GB free in {folder}", "make room or work in another folder")
    return Finding("ok", "disk", f"{free:.0f} GB free in {folder}")


def _installed(distribution: metadata.Distribution, extra: str | None) -> tuple[list[str], list[str]]:
    """(what is installed, what is missing or of a wrong version) among the requirements of one group."""
    present, wrong = [], []
    for requirement in map(Requirement, distribution.requires or []):
        marker = requirement.marker
        base = marker is None or marker.evaluate({"extra": ""})
        wanted = base if extra is None else not base and marker is not None and marker.evaluate({"extra": extra})
        if not wanted:
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            present.append(f"{requirement.name} {version}")
        else:
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    return present, wrong


def _target(distribution: metadata.Distribution, extra: str = "") -> str:
    """What to give pip: the checkout where the package is an editable install, else its name."""
    group = f"[{extra}]" if extra else ""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return f"-e '{unquote(urlparse(origin['url']).path)}{group}'"
    return f"'{DISTRIBUTION}{group}'"


def _try(code: str, **environment: str) -> tuple[int, str]:
    """Run Python code in a process of its own: (exit code, its last line or last line of error)."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, "no answer within 120 s"
    text = done.stdout if done.returncode == 0 else done.stderr
    return done.returncode, (text.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
