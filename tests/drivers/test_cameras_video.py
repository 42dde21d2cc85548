"""A video file in place of a camera; a UVC camera's code on a file that stands in for a device."""

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, FakeClock, SystemClock
from robot_learning.drivers.cameras.reader import CameraReader
from robot_learning.drivers.cameras.registry import make_camera
from robot_learning.drivers.cameras.uvc import UvcCamera
from robot_learning.drivers.interfaces import CameraLost, DeviceCamera
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig_parts.cameras import CameraConfig

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

SIZE = {"width_px": 64, "height_px": 48, "rate_hz": 20}
FRAMES = 10


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten frames, each of one grey that tells which it is; blue to the right."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 48))
    for n in range(FRAMES):
        picture = np.full((48, 64, 3), 20 * n, np.uint8)
        picture[:, 48:] = (255, 0, 0)  # OpenCV's order is BGR
        writer.write(picture)
    writer.release()
    return path


def number_in(frame):
    return round(float(frame.colour[:, :40].mean()) / 20)


def video(film, clock, **keys):
    return make_camera("front", CameraConfig.model_validate({"type": "video", "file": str(film), **SIZE} | keys), clock)


def test_frames_come_when_they_are_due_in_rgb(film):
    clock = FakeClock(NS_PER_S)
    camera = video(film, clock)
    camera.connect()
    frames = [camera.read() for _ in range(FRAMES)]
    assert [number_in(f) for f in frames] == [f.sequence for f in frames] == list(range(FRAMES))
    assert [f.stamp_ns for f in frames] == [NS_PER_S + n * NS_PER_S // 20 for n in range(FRAMES)]
    blue = frames[0].colour[:, 52:].reshape(-1, 3).mean(axis=0)
    assert blue[2] > 200 > 60 > blue[0]
    assert {f.domain for f in frames} == {"file"}
    with pytest.raises(CameraLost, match=r"film.avi is at its end; cameras.front.loop: true"):
        camera.read()


def test_frames_that_were_not_read_in_time_are_holes(film):
    clock = FakeClock(NS_PER_S)
    camera = video(film, clock)
    camera.connect()
    camera.read()
    clock.advance(0.2)
    frame = camera.read()
    assert (frame.sequence, number_in(frame)) == (4, 4)


def test_a_loop_begins_again_and_counts_on(film):
    camera = video(film, FakeClock(NS_PER_S), loop=True)
    camera.connect()
    frames = [camera.read() for _ in range(25)]
    assert [f.sequence for f in frames] == list(range(25))
    assert [number_in(f) for f in frames] == [n % FRAMES for n in range(25)]


def test_at_the_rigs_rate_a_film_may_be_slower_than_it_was_taken(film):
    camera = video(film, FakeClock(NS_PER_S), rate_hz=5, play_at="rig")
    camera.connect()
    frames = [camera.read() for _ in range(3)]
    assert [f.stamp_ns - NS_PER_S for f in frames] == [0, NS_PER_S // 5, 2 * NS_PER_S // 5]


def test_the_reader_plays_a_film_again_after_its_end(film):
    frames, told, enough = [], [], threading.Event()
    camera = video(film, SystemClock())
    camera.connect()
    reader = CameraReader(
        camera, lambda f: (frames.append(f), len(frames) > 15 and enough.set()), told.append, first_wait_s=0.001
    )
    reader.begin()
    assert enough.wait(60)
    reader.end()
    assert "is at its end" in told[0]
    assert all(b.sequence > a.sequence for a, b in pairwise(frames))
    assert all(b.stamp_ns > a.stamp_ns for a, b in pairwise(frames))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"width_px": 65}, "is 64x48, the rig says 65x48"),
        ({"rate_hz": 30}, "has 20 frames per second, the rig says rate_hz: 30; correct it, or give play_at: rig"),
        ({"file": "nowhere.mp4"}, r"there is no file .*nowhere.mp4"),
        ({"file": __file__}, "is no video that OpenCV can read"),
    ],
    ids=["size", "rate", "missing", "no video"],
)
def test_a_film_that_is_not_what_the_rig_says_is_refused(film, keys, says):
    with pytest.raises(ConfigError, match=says):
        video(film, FakeClock(), **keys).connect()


def uvc(clock, cls=UvcCamera, **keys):
    return cls("front", CameraConfig.model_validate({"type": "uvc", "device": "/dev/video97", **SIZE} | keys), clock)


def test_a_device_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UserError, match=r"there is no /dev/video97. Present: .*correct cameras.front.device"):
        uvc(FakeClock()).connect()
    with pytest.raises(UserError, match=r"there is no /dev/video97\."):
        uvc(FakeClock(), device=97).connect()
    with pytest.raises(CameraLost, match="not connected"):
        uvc(FakeClock()).read()


def test_a_file_that_is_no_camera_is_told(tmp_path):
    path = tmp_path / "video0"
    path.write_text("")
    with pytest.raises(UserError, match="can't be opened as a camera"):
        uvc(FakeClock(), device=str(path)).connect()


class FakeDevice:
    """Stands in for a V4L2 device: pictures from a film, settings as a device would keep them, the kernel's stamps."""

    def __init__(self, film, stamps=None, keeps=None):
        self._film = cv2.VideoCapture(str(film))
        self._stamps, self._keeps, self._taken = stamps, keeps or {}, {}

    def isOpened(self):  # noqa: N802
        return True

    def set(self, prop, value):
        self._taken[prop] = self._keeps.get(prop, value)
        return True

    def get(self, prop):
        if prop == cv2.CAP_PROP_POS_MSEC:
            return self._stamps.pop(0) if self._stamps else 0.0
        return self._taken.get(prop, 0)

    def read(self):
        return self._film.read()

    def release(self):
        self._film.release()


class FakeUvcCamera(UvcCamera):
    """The driver on a `FakeDevice`, for there is no UVC device where the tests run."""

    device: FakeDevice

    def _check_path(self):
        pass

    def _open(self, cv2):
        return self.device


def fake(film, clock, stamps=None, keeps=None, **keys):
    camera = uvc(clock, FakeUvcCamera, **keys)
    camera.device = FakeDevice(film, stamps, keeps)
    return camera


def test_the_kernels_stamps_are_used_and_tell_what_is_missing(film):
    first_ms = time.monotonic_ns() / 1e6 - 500
    clock = FakeClock(NS_PER_S * 100)
    camera = fake(film, clock, [first_ms + 50 * n for n in (0, 1, 4, 5)])
    camera.connect()
    frames = [camera.read() for _ in range(4)]
    camera.disconnect()
    assert {f.domain for f in frames} == {"v4l2"}
    assert [f.sequence for f in frames] == [0, 1, 4, 5]
    assert clock.now_ns() - frames[0].stamp_ns >= 500_000_000  # it came so long before it was read
    about = camera.diagnostics()
    assert (about["timestamp_domain"], about["missing"]) == ("v4l2", "2")
    assert "warning" not in about
    assert isinstance(camera, DeviceCamera)


def test_without_the_kernels_stamps_arrival_is_used_and_said(film):
    clock = FakeClock(NS_PER_S * 100)
    camera = fake(film, clock)
    camera.connect()
    frame = camera.read()
    assert (frame.stamp_ns, frame.domain, number_in(frame)) == (clock.now_ns(), "arrival", 0)
    assert "stamped by arrival" in camera.diagnostics()["warning"]
    for _ in range(FRAMES - 1):
        camera.read()
    with pytest.raises(CameraLost, match="was it unplugged"):
        camera.read()


@pytest.mark.parametrize(
    ("keeps", "keys", "says"),
    [
        ({cv2.CAP_PROP_FRAME_WIDTH: 32}, {}, "asked for width_px, height_px = 64x48 and keeps to 32x48"),
        ({cv2.CAP_PROP_FPS: 15.0}, {}, "asked for rate_hz = 20 and keeps to 15"),
        ({cv2.CAP_PROP_FOURCC: 0x56595559}, {"fourcc": "MJPG"}, "asked for fourcc = MJPG and keeps to YUYV"),
        ({cv2.CAP_PROP_EXPOSURE: 50}, {"exposure_us": 20_000}, "asked for exposure_us = 20000 and keeps to 5000"),
        ({cv2.CAP_PROP_AUTO_WB: 1}, {"white_balance_k": 4500}, "asked for white_balance_k = a fixed value"),
    ],
    ids=["size", "rate", "format", "exposure", "white balance"],
)
def test_a_device_that_keeps_to_something_else_is_refused(film, keeps, keys, says):
    camera = fake(film, FakeClock(), keeps=keeps, **keys)
    with pytest.raises(ConfigError, match=says):
        camera.connect()
