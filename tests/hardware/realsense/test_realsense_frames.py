"""Frames, numbers and stamps of recordings, through librealsense's pipeline and our driver."""

import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from realsense_recordings import all_frames, camera_of, make_recording, numbered

from robot_learning.clock import NS_PER_S, FakeClock, SystemClock
from robot_learning.drivers.cameras.reader import CameraReader
from robot_learning.errors import UserError

LOST = frozenset({10, 11, 12, 20})
# A recording is played in real time. While librealsense starts its streams, or where the machine is busy, frames of it
# pass: then, too, numbers and counts must say which came.


@pytest.fixture(scope="module")
def holes(tmp_path_factory):
    """A second in which the device lost four frames, and depth of a fifth."""
    path = tmp_path_factory.mktemp("holes") / "holes.db3"
    make_recording(path, 1.0, draw=numbered, missing=LOST, depth_missing=frozenset({5}))
    return path


def holes_in(numbers):
    return numbers[-1] - numbers[0] + 1 - len(numbers)


def number_in(frame):
    """The number that the device gave a frame, as its picture shows it."""
    return int(frame.colour[0, 0, 0])


def assert_one_count(frames):
    """One count over several runs of a recording, with a hole wherever the device's own numbers have one."""
    for before, after in pairwise(frames):
        step = number_in(after) - number_in(before)
        assert after.sequence - before.sequence == (step if step > 0 else 1)
        assert after.stamp_ns > before.stamp_ns


def test_each_frame_comes_once_with_its_own_number_and_what_belongs_to_it(holes):
    camera = camera_of(holes, SystemClock(), depth=True, align=False, infrared=True)
    camera.connect()
    frames, why = all_frames(camera)
    camera.disconnect()
    numbers = [f.sequence for f in frames]
    assert len(frames) > 15
    assert not LOST & set(numbers)
    for frame in frames:
        assert frame.colour.shape == (48, 64, 3)
        assert (frame.colour == frame.sequence).all()
        if frame.depth is None or frame.infrared is None:
            continue
        assert (frame.depth.shape, frame.depth.dtype) == ((48, 64), np.uint16)
        assert (frame.depth == 1000 + frame.sequence).all()
        assert (frame.infrared[0] == frame.sequence).all()
        assert (frame.infrared[1] == frame.sequence + 100).all()
    told, bare = camera.diagnostics(), [f.sequence for f in frames if f.depth is None]
    assert 5 in bare or 5 not in numbers
    assert len(bare) < 5
    assert (int(told["frames"]), int(told["missing"])) == (len(frames), holes_in(numbers))
    assert int(told["depth_missing"]) == holes_in([n for n in numbers if n not in bare])
    assert int(told["depth_unpaired"]) == len(bare)
    assert holes_in(numbers) >= len(LOST)
    assert "is at its end" in why


def test_stamps_keep_the_devices_own_intervals_and_are_never_in_the_future(holes):
    clock = SystemClock()
    camera = camera_of(holes, clock)
    camera.connect()
    frames, came = [], []
    for _ in range(20):
        frames.append(camera.read())
        came.append(clock.now_ns())
    camera.disconnect()
    stamps, numbers = np.array([f.stamp_ns for f in frames]), np.array([f.sequence for f in frames])
    assert {f.domain for f in frames} == {"hardware_clock"}
    assert camera.diagnostics()["timestamp_domain"] == "hardware_clock"
    assert (stamps <= came).all()
    assert (np.diff(stamps) > 0).all()
    # Arrival jitters; the device's clock does not, but for the few frames before the offset between clocks is found.
    error = np.diff(stamps) - np.diff(numbers) * NS_PER_S / 30
    assert np.median(np.abs(error)) < 2_000


def test_a_stamp_is_that_of_mid_exposure_where_the_device_tells_it(tmp_path):
    make_recording(tmp_path / "a.db3", 0.2)
    make_recording(tmp_path / "b.db3", 0.2, exposure_ms=7.0)
    stamps = []
    for name in ("a", "b"):
        camera = camera_of(tmp_path / f"{name}.db3", FakeClock(NS_PER_S), loop=True)
        camera.connect()
        stamps.append(camera.read().stamp_ns)
        camera.disconnect()
    assert stamps == [NS_PER_S, NS_PER_S - 7_000_000]


def test_at_the_end_the_camera_is_lost_and_the_reader_connects_again(tmp_path):
    make_recording(tmp_path / "short.db3", 0.5, draw=numbered)
    camera = camera_of(tmp_path / "short.db3", SystemClock(), depth=True)
    camera.connect()
    frames, told, enough = [], [], threading.Event()

    def deliver(frame):
        frames.append(frame)
        if len(frames) == 40:
            enough.set()

    reader = CameraReader(camera, deliver, told.append, first_wait_s=0.01)
    reader.begin()
    assert enough.wait(60)
    reader.end()
    assert_one_count(frames)
    assert sum(number_in(b) < number_in(a) for a, b in pairwise(frames)) >= 2  # from the beginning, again and again
    assert "is at its end; cameras.front.loop: true" in told[0]
    assert told[1] == ""
    assert reader.reconnections >= 2


def test_a_loop_counts_on(tmp_path):
    make_recording(tmp_path / "short.db3", 0.5, draw=numbered)
    camera = camera_of(tmp_path / "short.db3", SystemClock(), loop=True)
    camera.connect()
    frames = [camera.read() for _ in range(40)]
    camera.disconnect()
    assert_one_count(frames)
    assert sum(number_in(b) < number_in(a) for a, b in pairwise(frames)) >= 2
    assert int(camera.diagnostics()["missing"]) == holes_in([f.sequence for f in frames])


def test_several_cameras_run_in_one_process(tmp_path):
    cameras = []
    for serial in ("000000000001", "000000000002"):
        make_recording(tmp_path / f"{serial}.db3", 0.5, draw=numbered, serial=serial)
        cameras.append(camera_of(tmp_path / f"{serial}.db3", SystemClock(), serial=serial, depth=True))
    for camera in cameras:
        camera.connect()
    got = [all_frames(camera)[0] for camera in cameras]
    assert [camera.diagnostics()["serial"] for camera in cameras] == ["000000000001", "000000000002"]
    for camera in cameras:
        camera.disconnect()
    for frames in got:  # the first few of the second were dropped, for nobody read it meanwhile
        assert len(frames) > 3
        assert all((f.colour == f.sequence).all() for f in frames)


def test_a_camera_can_be_connected_and_released_many_times(holes):
    camera = camera_of(holes, SystemClock(), depth=True, loop=True)
    for _ in range(5):
        camera.connect()
        assert camera.read().colour.shape == (48, 64, 3)
        camera.disconnect()
        camera.disconnect()
    with pytest.raises(UserError, match="'front' is not connected"):
        camera.read()


def test_a_process_that_ends_with_its_camera_connected_ends_in_order(holes):
    program = f"""
from realsense_recordings import camera_of
from robot_learning.clock import SystemClock
camera = camera_of({str(holes)!r}, SystemClock(), loop=True)
camera.connect()
print(camera.read().colour.shape)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "(48, 64, 3)", "")
