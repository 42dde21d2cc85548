"""Depth: its unit, its alignment with the colour image, its filters, and what is told of the lenses."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from realsense_recordings import camera_of, make_recording

from robot_learning.clock import SystemClock
from robot_learning.drivers.cameras.synthetic import BOX_M, NEAR_M, Images, Synthetic, picture

BEND = (0.1, -0.05, 0.002, -0.001, 0.01)


def first(path, **config):
    """The first frame of a recording, and its camera, released.

    While streams start, frames pass unseen, on a busy machine half a second of them: recordings are longer than that.
    """
    camera = camera_of(path, SystemClock(), depth=True, loop=True, **config)
    camera.connect()
    frame = next(with_depth(camera))
    camera.disconnect()
    return frame, camera


def with_depth(camera):
    """Frames that have depth: while librealsense starts its streams, one may come without."""
    while True:
        frame = camera.read()
        if frame.depth is not None:
            yield frame


def hills(device, number):
    """Depth that differs from pixel to pixel, with holes."""
    y, x = np.mgrid[: device.height_px, : device.width_px]
    metres = 0.8 + 0.2 * np.sin(x / 9) * np.cos(y / 7) + 0.4 * (x > 40)
    depth = np.round(metres / device.unit_m).astype(np.uint16)
    depth[10:14, 20:26] = 0
    return Images(picture(device, number).colour, depth, picture(device, number).infrared)


def reprojected(device, depth):
    """What the colour camera sees of depth [mm] by the depth camera: each pixel's square, the nearest in front.

    This is how librealsense defines alignment (its `align.cpp`): corners of a depth pixel are projected, and every
    colour pixel between them gets its depth.
    """
    height, width = depth.shape
    colour_f, depth_f = (f * width for f in device.focal)
    k1, k2, p1, p2, k3 = device.distortion
    seen = np.full(depth.shape, np.inf)
    for v, u in np.argwhere(depth):
        z = depth[v, u] * 1e-3
        corners = []
        for du, dv in ((-0.5, -0.5), (0.5, 0.5)):
            point = np.array([(u + du - width / 2) * z / depth_f, (v + dv - height / 2) * z / depth_f, z])
            x, y = (point + device.to_colour_m)[:2] / (point + device.to_colour_m)[2]
            r2 = x * x + y * y
            f = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
            # librealsense's Brown-Conrady uses the radially bent point in the tangential terms' place, as OpenCV does
            # not; with coefficients as small as these that is far less than a pixel.
            bent = x * f + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * f + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
            corners.append((int(bent[0] * colour_f + width / 2 + 0.5), int(bent[1] * colour_f + height / 2 + 0.5)))
        (x0, y0), (x1, y1) = corners
        if x0 < 0 or y0 < 0 or x1 >= width or y1 >= height:
            continue
        area = seen[y0 : y1 + 1, x0 : x1 + 1]
        np.minimum(area, depth[v, u], out=area)
    return np.where(np.isfinite(seen), seen, 0).astype(np.uint16)


def test_aligned_depth_is_the_reprojection_by_hand(tmp_path):
    device = make_recording(tmp_path / "a.db3", 1.0, draw=hills, to_colour_m=(0.02, -0.01, 0.005), focal=(0.8, 0.6))
    frame, _ = first(tmp_path / "a.db3")
    expected = reprojected(device, hills(device, 0).depth)
    assert (expected > 0).mean() > 0.5
    inner = (slice(3, -3), slice(3, -3))  # librealsense stretches the outermost pixels to the image's edge
    same = frame.depth[inner] == expected[inner]
    assert same.mean() > 0.99, f"{(~same).sum()} of {same.size} pixels differ"


def test_depth_is_aligned_with_a_bent_image_too(tmp_path):
    """librealsense's own alignment takes such a lens for straight: several pixels, towards the edges."""
    device = make_recording(
        tmp_path / "a.db3", 1.0, width_px=160, height_px=120, draw=hills, distortion=BEND, focal=(0.8, 0.6)
    )
    frame, camera = first(tmp_path / "a.db3", width_px=160, height_px=120)
    expected = reprojected(device, hills(device, 0).depth).astype(int)
    straight = reprojected(replace(device, distortion=(0.0,) * 5), hills(device, 0).depth).astype(int)
    inner = (slice(4, -4), slice(4, -4))

    def off(depth):
        """Share of pixels that have the depth of no pixel within one of where they should be, to 5 mm."""
        near = [np.roll(expected, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        return (np.min([np.abs(depth.astype(int) - other)[inner] for other in near], axis=0) > 5).mean()

    assert off(straight) > 0.05
    assert off(frame.depth) < 0.005
    assert "warning" not in camera.diagnostics()


def test_the_box_is_where_the_colour_image_shows_it(tmp_path):
    device = make_recording(tmp_path / "a.db3", 1.0, width_px=160, height_px=120, to_colour_m=(0.05, 0.0, 0.0))
    size = {"width_px": 160, "height_px": 120}
    frame, _ = first(tmp_path / "a.db3", **size)
    red = (frame.colour == (230, 60, 40)).all(axis=2)
    near = frame.depth == round(NEAR_M * 1e3)
    assert red.sum() > 1000
    assert (red != near).mean() < 0.03  # a pixel along the edges
    raw, _ = first(tmp_path / "a.db3", align=False, **size)
    unaligned = raw.depth == round(NEAR_M * 1e3)
    assert (red != unaligned).mean() > 0.1
    focal = device.focal[0] * 160
    assert abs(red.any(axis=0).sum() - 2 * BOX_M / NEAR_M * focal) <= 1


def test_depth_is_millimetres_whatever_the_devices_unit(tmp_path):
    make_recording(tmp_path / "a.db3", 1.0, draw=hills, unit_m=0.0001)  # as a D405's
    fine = hills_depth(0.0001)
    frame, _ = first(tmp_path / "a.db3", align=False)
    assert (frame.depth == np.rint(fine / 10)).all()
    make_recording(tmp_path / "b.db3", 1.0, draw=deep, unit_m=0.01)
    frame, _ = first(tmp_path / "b.db3", align=False)
    assert frame.depth[0, 0] == 65_530
    assert frame.depth[0, 1] == 0  # 65.54 m is more than 16 bits of millimetres hold
    assert frame.depth[0, 2] == 0


def hills_depth(unit_m):
    return hills(Synthetic(64, 48, 30, unit_m=unit_m), 0).depth


def deep(device, number):
    images = picture(device, number)
    images.depth[0, :3] = 6_553, 6_554, 0
    return images


def noisy(device, number):
    """A wall at 1 m with noise of 5 mm, a hole, and something far away."""
    depth = np.random.default_rng(number).normal(1000, 5, (device.height_px, device.width_px)).astype(np.uint16)
    depth[20:23, 30:33] = 0
    depth[40:, :] = 5000
    return Images(picture(device, number).colour, depth, picture(device, number).infrared)


def test_filters_do_what_they_say_and_nothing_unless_asked(tmp_path):
    path = tmp_path / "a.db3"
    make_recording(path, 0.5, draw=noisy)

    def depth_with(filters, frames=1):
        camera = camera_of(path, SystemClock(), depth=True, align=False, filters=filters, loop=True)
        camera.connect()
        pictures = list(islice(with_depth(camera), frames))
        camera.disconnect()
        return pictures[-1].depth, noisy_depth(pictures[-1].sequence)

    wall = (slice(5, 35), slice(5, 25))
    same, plain = depth_with({})
    assert (same == plain).all()
    near, plain = depth_with({"near_m": 0.5, "far_m": 2.0})
    assert (near[40:] == 0).all()
    assert (near[:40] == plain[:40]).all()
    filled, plain = depth_with({"hole_filling": "nearest"})
    assert (plain[20:23, 30:33] == 0).all()
    assert (filled[20:23, 30:33] > 0).all()
    smooth, plain = depth_with({"spatial": {}})
    assert smooth[wall].std() < 0.7 * plain[wall].std()
    steady, plain = depth_with({"temporal": {}}, frames=8)
    assert steady[wall].std() < 0.8 * plain[wall].std()


def noisy_depth(number):
    return noisy(Synthetic(64, 48, 30), number).depth


def test_lenses_are_the_devices_own(tmp_path):
    make_recording(tmp_path / "a.db3", 1.0, distortion=BEND, to_colour_m=(0.02, -0.01, 0.005), baseline_m=0.05)
    _, camera = first(tmp_path / "a.db3", infrared=True)
    f = 0.95 * 64
    np.testing.assert_allclose(camera.intrinsics(), [[f, 0, 32], [0, f, 24], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(camera.distortion(), BEND, rtol=1e-6)
    lenses = camera.lenses()
    assert set(lenses) == {"color", "depth", "infra1", "infra2"}
    assert lenses["depth"].matrix[0, 0] == pytest.approx(0.6 * 64)
    np.testing.assert_allclose(lenses["color"].to_colour, np.eye(4))
    np.testing.assert_allclose(lenses["depth"].to_colour[:3, 3], (0.02, -0.01, 0.005), atol=1e-7)
    np.testing.assert_allclose(lenses["infra2"].to_colour[:3, 3], (0.07, -0.01, 0.005), atol=1e-7)
    told = camera.diagnostics()
    assert told["color.distortion"] == "0.1 -0.05 0.002 -0.001 0.01"
    assert told["depth.to_color"].split()[3] == "0.02"
