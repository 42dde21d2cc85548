import os
import subprocess
import sys

import numpy as np
import pytest

from robot_learning.drivers.mujoco.camera import MujocoCamera, Renderer, intrinsics
from robot_learning.drivers.mujoco.panda import scene_xml
from robot_learning.drivers.mujoco.world import World
from robot_learning.errors import UnknownName
from robot_learning.rig_parts.cameras import CameraConfig

SIZE = 96
# A camera 0.5 m above the table, beside the arm, with a red block 0.1 m high in the left half of its view.
_ABOVE = '<camera name="above" pos="0.6 0.3 0.5" xyaxes="1 0 0 0 1 0" fovy="40"/>'
_BLOCK = '<geom type="box" class="fixed" size="0.03 0.03 0.05" pos="0.53 0.3 0.05" rgba="0.9 0.05 0.05 1"/>'


@pytest.fixture(scope="module")
def world() -> World:
    world = World(scene_xml(_ABOVE + _BLOCK))
    world.start()
    return world


@pytest.fixture(scope="module")
def picture(world):
    renderer = Renderer(world, SIZE, SIZE)
    colour, depth = renderer.render("above", depth=True)
    renderer.close()
    return colour, depth


def pixel(world: World, point: np.ndarray) -> tuple[int, int]:
    """Row and column at which a point of the base frame appears."""
    K = intrinsics(world, "above", SIZE, SIZE)
    right, up, towards = np.eye(3)
    away = point - np.array([0.6, 0.3, 0.5])
    u, v, z = K @ np.array([away @ right, -(away @ up), -(away @ towards)])
    return int(v / z), int(u / z)


def test_depth_is_the_distance_along_the_axis_in_millimetres(world, picture):
    _, depth = picture
    assert depth.dtype == np.uint16
    table, block = pixel(world, np.array([0.68, 0.3, 0.0])), pixel(world, np.array([0.53, 0.3, 0.1]))
    assert abs(int(depth[table]) - 500) <= 1
    assert abs(int(depth[block]) - 400) <= 1


def test_depth_does_not_grow_towards_the_edges_of_a_flat_table(picture):
    _, depth = picture
    right = depth[:, SIZE * 3 // 4 :]
    assert right.max() - right.min() <= 2


def test_colour_is_rgb_the_right_way_up_and_where_the_intrinsics_say(world, picture):
    colour, _ = picture
    assert colour.shape == (SIZE, SIZE, 3)
    assert colour.dtype == np.uint8
    r, g, b = colour[pixel(world, np.array([0.53, 0.3, 0.1]))].astype(int)
    assert r > 2 * max(g, b)
    r, g, b = colour[pixel(world, np.array([0.68, 0.3, 0.0]))].astype(int)
    assert min(r, g) > 90
    red = (colour[..., 0] > 2 * colour[..., 1].astype(int)).nonzero()
    near, far = pixel(world, np.array([0.50, 0.33, 0.1])), pixel(world, np.array([0.56, 0.27, 0.1]))
    assert red[0].min() == pytest.approx(near[0], abs=2)
    assert red[1].min() == pytest.approx(near[1], abs=2)
    assert red[0].max() == pytest.approx(far[0], abs=2)


def test_pixels_beyond_the_far_plane_have_no_depth(world):
    renderer = Renderer(world, SIZE, SIZE)
    _, depth = renderer.render("picture", depth=True)
    renderer.close()
    assert depth[0].min() == 0  # sky


def test_frames_come_at_the_cameras_rate_with_measured_stamps_and_numbers():
    world = World(scene_xml())
    camera = MujocoCamera(
        "front", CameraConfig(type="mujoco", width_px=32, height_px=24, rate_hz=30, depth=True), world
    )
    camera.connect()
    world.start()
    world.advance_to(200_000_000)
    assert [f.stamp_ns for f in camera.frames] == [
        0,
        34_000_000,
        67_000_000,
        100_000_000,
        134_000_000,
        167_000_000,
        200_000_000,
    ]
    assert [f.sequence for f in camera.frames] == list(range(7))
    assert camera.frames[0].colour.shape == (24, 32, 3)
    assert camera.frames[0].depth.shape == (24, 32)
    newest = camera.read()
    assert newest.sequence == 6
    assert camera.read().stamp_ns == 234_000_000
    camera.disconnect()


def test_a_camera_that_the_scene_lacks_is_named():
    world = World(scene_xml())
    with pytest.raises(UnknownName, match="front"):
        MujocoCamera("frnt", CameraConfig(type="mujoco", width_px=8, height_px=8, rate_hz=30), world)


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY", "PYOPENGL_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=False
    )


def test_a_machine_that_can_not_render_is_told_what_to_install():
    done = python(
        "from robot_learning.drivers.mujoco.camera import Renderer\n"
        "from robot_learning.drivers.mujoco.panda import scene_xml\n"
        "from robot_learning.drivers.mujoco.world import World\n"
        "from robot_learning.errors import UserError\n"
        "try: Renderer(World(scene_xml()), 8, 8)\n"
        "except UserError as e: print(e)\n",
        MUJOCO_GL="disable",
    )
    assert "apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri" in done.stdout, done.stderr


def test_without_a_display_rendering_is_set_up_and_exit_is_quiet():
    done = python(
        "from robot_learning.drivers.mujoco.camera import Renderer\n"
        "from robot_learning.drivers.mujoco.panda import scene_xml\n"
        "from robot_learning.drivers.mujoco.world import World\n"
        "import os\n"
        "r = Renderer(World(scene_xml()), 8, 8); r.render('front'); print(os.environ['MUJOCO_GL'])\n"
    )
    assert done.stdout.strip() in ("egl", "osmesa"), done.stderr
    assert done.stderr == ""
