"""The live view without ROS: what reaches Rerun, and a viewer that serves this machine only and ends with us."""

import socket
import urllib.request

import numpy as np
import pytest

pytest.importorskip("rerun", reason="Rerun is not installed: pip install robot_learning[deploy]", exc_type=ImportError)

import rerun as rr
import simplejpeg

from robot_learning.clock import NS_PER_S
from robot_learning.deployment.live_view import LiveView, Viewer
from robot_learning.errors import ConfigError, UnknownName

BEGIN = 1_700_000_000 * NS_PER_S


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Shown:
    """A live view that is written to a file, to be read back."""

    def __init__(self, folder):
        self._file = folder / "shown.rrd"
        plots = {"joints": {"joint_position": ["a", "b"]}, "tool": {"gripper_width": ["gripper"]}}
        self.view = LiveView("rig", lambda stream, layout: stream.save(self._file, layout), ["front"], plots)

    def column(self, entity):
        """Stamps [ns] and values of an entity's one interesting column."""
        self.view.close()
        recording = rr.dataframe.load_recording(self._file)
        table = recording.view(index="time", contents=entity.split(":")[0]).select().read_all()
        stamps = table["time"].cast("int64").to_pylist()
        return [(t, value) for t, value in zip(stamps, table[entity].to_pylist(), strict=True) if value is not None]


def test_pictures_come_as_jpeg_no_more_often_than_eyes_need(tmp_path):
    shown = Shown(tmp_path)
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[:, :, 0] = 200
    for i in range(120):  # two seconds at 60 Hz
        shown.view.image("front", BEGIN + i * NS_PER_S // 60, picture)
    frames = shown.column("/cameras/front:Blob")
    assert 15 <= len(frames) <= 25
    decoded = simplejpeg.decode_jpeg(bytes(frames[0][1][0]))
    assert decoded.shape == (16, 24, 3)
    assert abs(int(decoded[8, 8, 0]) - 200) < 10


def test_values_are_plotted_at_their_stamps(tmp_path):
    shown = Shown(tmp_path)
    for i in range(200):  # a second at 200 Hz
        shown.view.values("joint_position", BEGIN + i * NS_PER_S // 200, np.array([i, -i]))
    points = shown.column("/plots/joints/joint_position:Scalar")
    assert 20 <= len(points) <= 30
    assert all(value == [(t - BEGIN) * 200 // NS_PER_S, -(t - BEGIN) * 200 // NS_PER_S] for t, value in points)


def test_a_changed_state_is_shown_at_once_with_those_of_the_other_parts(tmp_path):
    shown = Shown(tmp_path)
    shown.view.state("recorder", BEGIN, "recording", {"elapsed_s": "1.0"})
    shown.view.state("gate", BEGIN + 1_000_000, "active", {"state": "active"})
    for i in range(50):
        shown.view.state("gate", BEGIN + 2_000_000 + i * 1000, "active", {"n": str(i)})
    shown.view.state("gate", BEGIN + 3_000_000, "stopped: watchdog", {"state": "stopped"})
    texts = [value[0] for _, value in shown.column("/status:Text")]
    assert len(texts) <= 4
    assert "gate: stopped: watchdog" in texts[-1]
    assert "recorder: recording" in texts[-1]
    assert "| elapsed_s | 1.0 |" in texts[-1]


def test_events_keep_their_level(tmp_path):
    shown = Shown(tmp_path)
    for level in range(3):
        shown.view.event(BEGIN + level, level, f"event {level}")
    assert [v for _, v in shown.column("/events:TextLogLevel")] == [["INFO"], ["WARN"], ["ERROR"]]


def test_after_a_jump_back_in_time_it_shows_again(tmp_path):
    shown = Shown(tmp_path)
    shown.view.values("gripper_width", BEGIN, np.array([0.08]))
    shown.view.forget()
    shown.view.values("gripper_width", BEGIN - NS_PER_S, np.array([0.04]))
    assert len(shown.column("/plots/tool/gripper_width:Scalar")) == 2


def test_the_viewer_serves_this_machine_only_and_ends_with_close():
    ports = free_port(), free_port()
    viewer = Viewer(*ports, "50MB")
    try:
        with urllib.request.urlopen(viewer.url, timeout=20) as page:
            assert b"<html" in page.read().lower()
        assert listening(ports) == {"127.0.0.1"}
    finally:
        viewer.close()
    assert listening(ports) == set()
    viewer.close()


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is taken"):
            Viewer(port, free_port(), "50MB")


def listening(ports):
    """Addresses on which anybody listens to one of these ports; Linux tells them."""
    found = set()
    for table, length in (("/proc/net/tcp", 8), ("/proc/net/tcp6", 32)):
        with open(table) as lines:
            for line in list(lines)[1:]:
                address, port = line.split()[1].split(":")
                if int(port, 16) in ports and line.split()[3] == "0A":
                    raw = bytes.fromhex(address)
                    found.add(socket.inet_ntoa(raw[::-1]) if length == 8 else address)
    return found


def test_a_rig_that_is_not_there_is_named_with_the_closest():
    from robot_learning.cli import live

    with pytest.raises(UnknownName, match="did you mean 'panda_sim'"):
        live.main(["--rig", "panda_sm"])
