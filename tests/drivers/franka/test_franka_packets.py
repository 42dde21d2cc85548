"""What travels between the node's process and the robot's, and what the doctor says of a computer."""

import os
import socket
import struct
import threading

import numpy as np
import pytest

from robot_learning.drivers.franka import doctor, packets
from robot_learning.drivers.franka.packets import Packets, StatePacket, TargetPacket
from robot_learning.rig_parts.franka import FrankaConfig


def state(stamp=1):
    seven = [np.arange(7.0) + i for i in range(5)]
    rotation = np.arange(9.0).reshape(3, 3)
    return StatePacket(stamp, 2, *seven, np.arange(3.0), rotation, 0.04, 0.99, 0.9, 1.5, 3, 4, 1 << 40, True, False)


def test_states_and_targets_arrive_as_they_were_sent():
    sent, found = state(), StatePacket.unpack(state().pack())
    for name, value in sent._asdict().items():
        assert np.array_equal(getattr(found, name), value), name
    target = TargetPacket(7, packets.JOINTS, np.arange(12.0), 0.02)
    found = TargetPacket.unpack(target.pack())
    assert (found.generation, found.kind, found.gripper_width) == (7, packets.JOINTS, 0.02)
    assert np.array_equal(found.values, target.values)
    assert packets.unpack_stop(packets.pack_stop(12)) == 12
    assert packets.unpack_message(packets.pack_message({"a": "b"})) == {"a": "b"}


def test_packets_that_gathered_are_read_at_once_and_in_order_and_the_end_is_heard():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    packet_count = 0
    while packets.write(writing, state(packet_count).pack()):  # until the pipe is full
        packet_count += 1
    assert packet_count > 50
    reader = Packets(reading)
    found = reader.read()
    assert [StatePacket.unpack(data).stamp_ns for data in found] == list(range(packet_count))
    threading.Thread(target=lambda: [packets.write(writing, b"J" + bytes(i)) for i in range(100)]).start()
    rest = []
    while len(rest) < 100:
        rest += reader.read()
    assert [len(data) for data in rest] == list(range(1, 101))
    os.close(writing)
    assert reader.read() == []
    os.close(reading)


def test_a_packet_that_might_be_written_in_part_is_refused():
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="too long"):
        packets.write(writing, bytes(5000))
    os.close(reading)
    os.close(writing)


def test_nothing_that_is_no_packet_gets_through():
    with pytest.raises(struct.error):
        StatePacket.unpack(b"S123")


def config(address="127.0.0.1", **more):
    return FrankaConfig(model="fr3", address=address, **more)


def test_the_doctor_wants_a_real_time_kernel_where_the_rig_does(tmp_path):
    flag = tmp_path / "realtime"
    assert doctor.kernel(True, flag).mark == "FAIL"
    assert "PREEMPT_RT" in doctor.kernel(True, flag).remedy
    assert doctor.kernel(False, flag).mark == "--"
    flag.write_text("1\n")
    assert doctor.kernel(True, flag).mark == "ok"


def test_the_doctor_wants_priority_and_says_how():
    assert doctor.priority(True, 0).mark == "FAIL"
    assert "limits.conf" in doctor.priority(True, 0).remedy
    assert doctor.priority(True, 99).mark == "ok"


@pytest.mark.parametrize(("governors", "mark"), [(("performance",) * 2, "ok"), (("performance", "powersave"), "--")])
def test_the_doctor_wants_a_cpu_that_saves_no_power(tmp_path, governors, mark):
    for i, name in enumerate(governors):
        folder = tmp_path / f"cpu{i}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(name + "\n")
    assert doctor.governor(tmp_path).mark == mark


def test_the_doctor_finds_nobody_where_nobody_listens(monkeypatch):
    monkeypatch.setattr(doctor, "PORT", 1)
    finding = doctor.port(config())
    assert finding.mark == "FAIL"
    assert "FCI" in finding.remedy


def test_the_doctors_verdict_on_a_network():
    quick = [0.2] * 1000
    assert doctor._verdict(quick, 1000, "echoes").mark == "ok"
    slow = doctor._verdict([0.2] * 900 + [0.9] * 100, 1000, "echoes")
    assert slow.mark == "FAIL"
    assert "p99 0.90" in slow.detail
    assert "switch" in slow.remedy
    assert doctor._verdict(quick[:990], 1000, "echoes").mark == "FAIL"
    assert doctor._verdict([], 1000, "echoes").mark == "FAIL"


def test_the_doctor_measures_connections_where_pings_are_not_allowed(monkeypatch):
    def not_allowed(address, count=0):
        raise PermissionError

    monkeypatch.setattr(doctor, "echo", not_allowed)
    finding = doctor.network(config())
    assert "pings are not allowed" in finding.detail
    assert "0 lost" in finding.detail


def test_echo_requests_have_the_checksum_that_rfc_792_asks_for():
    words = struct.unpack("!184H", doctor._request(4321))
    total = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    assert (total + (total >> 16)) & 0xFFFF == 0xFFFF


def test_answers_are_matched_to_their_requests():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        sent, times = {5: 0.0, 6: 0.0}, []
        theirs.send(struct.pack("!BBHHH", 0, 0, 0, 0, 6))
        theirs.send(struct.pack("!BBHHH", 3, 0, 0, 0, 5))  # unreachable, no echo
        for _ in range(3):
            doctor._receive(ours, sent, times)
        assert list(sent) == [5]
        assert len(times) == 1


def test_the_doctor_knows_which_libfranka_speaks_to_which_arm(monkeypatch):
    pytest.importorskip("franky", reason="franky-control is missing; make hardware installs it")

    def carrying(version, model):
        monkeypatch.setattr(doctor.metadata, "files", lambda name: [f"franky_control.libs/libfranka-b351.so.{version}"])
        return doctor.library(FrankaConfig(model=model, address="127.0.0.1"))

    assert carrying("0.21.2", "fr3").mark == carrying("0.9.2", "panda").mark == "ok"
    assert carrying("0.21.2", "panda").mark == carrying("0.9.2", "fr3").mark == "FAIL"
    assert "0.9.2" in carrying("0.21.2", "panda").remedy
