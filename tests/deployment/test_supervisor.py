"""The supervisor with small stand-in processes: order, restarts, losses, ends, nothing left behind."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from robot_learning.clock import FakeClock
from robot_learning.deployment import restarts
from robot_learning.deployment.keeper import is_there
from robot_learning.deployment.plan import Process
from robot_learning.deployment.restarts import Restarts
from robot_learning.deployment.supervisor import Supervisor
from robot_learning.deployment.verdict import FAILED, MISTAKE

PATIENCE_S = 40.0  # for what surely comes on a machine with other work


def fake(name, role="camera", *arguments, **more):
    return Process(name, role, "fake", "fake_process", arguments=(name, *arguments), **more)


@pytest.fixture
def station(tmp_path, monkeypatch):
    made = Station(tmp_path, monkeypatch)
    yield made
    made.finish()


class Station:
    def __init__(self, folder, monkeypatch):
        self.folder, self.said, self.supervisor = folder, [], None
        self.events_file = folder / "events"
        monkeypatch.setenv("FAKE_EVENTS", str(self.events_file))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
        monkeypatch.setattr(restarts, "FIRST_DELAY_S", 0.05)

    def start(self, *processes, say=None, **more):
        self.supervisor = Supervisor(processes, self.folder / "logs", say=say or self.said.append, **more)

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"it did not come; events {self.events()}, said {self.said}"
            self.supervisor.poll(0.02)

    def finished(self):
        end = time.monotonic() + PATIENCE_S
        while self.supervisor.poll(0.02):
            assert time.monotonic() < end, f"it did not end; events {self.events()}, said {self.said}"
        return self.supervisor.code

    def events(self, what=""):
        lines = self.events_file.read_text().splitlines() if self.events_file.exists() else []
        return [tuple(line.split()[:2]) for line in lines if line.startswith(what)]

    def pids(self):
        return [int(line.split()[2]) for line in self.events_file.read_text().splitlines()]

    def names(self, what):
        return [name for _, name in self.events(what)]

    def heard(self, *words):
        return any(all(word in line for word in words) for line in self.said)

    def finish(self):
        if self.supervisor:
            self.supervisor.close()
        if self.events_file.exists():
            assert not [pid for pid in self.pids() if is_there(pid)]


def test_commanders_end_first_and_the_robot_last(station):
    station.start(fake("robot", "robot"), fake("front"), fake("recorder", "recorder"), fake("teleop", "commander"))
    station.until(lambda: len(station.events("start")) == 4)
    station.supervisor.end("asked")
    assert station.finished() == 0
    ended = station.names("end")
    assert ended[0] == "teleop"
    assert ended[-1] == "robot"
    assert sorted(ended) == ["front", "recorder", "robot", "teleop"]


def test_what_a_process_prints_is_in_its_log_and_on_the_terminal_with_its_name(station):
    station.start(fake("front", "camera", "--say", "a frame was dropped", "--exit", "0"))
    assert station.finished() == 0
    assert "front | a frame was dropped" in station.said
    assert (station.folder / "logs" / "front.log").read_text() == "front runs\na frame was dropped\n"
    assert "front ended, exit code 0" in (station.folder / "logs" / "up.log").read_text()


def test_a_process_starts_only_when_the_one_before_it_is_ready(station):
    server = fake("server", "server", "--after", "0.3", "--say", "serving it", ready="serving ")
    station.start(server, fake("policy", "commander"))
    station.until(lambda: station.names("start") == ["server"])
    assert not station.supervisor.started
    station.until(lambda: station.heard("policy runs"))
    assert station.supervisor.started
    assert station.said.index("server | serving it") < station.said.index("policy | policy runs")


def test_a_server_that_dies_before_it_is_ready_is_started_again_and_only_then_the_policy(station):
    server = fake("server", "server", "--first-exit", "1", ready="server is up")
    station.start(server, fake("policy", "commander"))
    station.until(lambda: station.names("start").count("server") == 2)
    assert "policy" not in station.names("start")


def test_a_process_that_fails_is_started_again_and_the_operator_is_told_what_it_means(station):
    station.start(fake("recorder", "recorder", "--first-exit", "3"))
    station.until(lambda: station.names("start") == ["recorder", "recorder"])
    assert station.heard("!!! recorder died, exit code 3", "recovered when the recorder starts again", "recorder.log")
    station.supervisor.end("asked")
    assert station.finished() == 0


def test_a_process_killed_outright_is_started_again(station):
    station.start(fake("front"))
    station.until(lambda: station.events("start"))
    os.kill(station.supervisor.running()["front"], signal.SIGKILL)
    station.until(lambda: len(station.events("start")) == 2)
    assert station.heard("front died, killed by SIGKILL")


def test_a_process_that_fails_too_often_ends_everything(station):
    station.start(fake("robot", "robot"), fake("front", "camera", "--exit", "1"))
    assert station.finished() == FAILED
    assert station.names("start").count("front") == restarts.LIMIT + 1
    assert station.heard("front failed too often; ending robot")


def test_a_robot_that_dies_is_told_and_ends_everything(station):
    station.start(fake("robot", "robot", restart="never"), fake("teleop", "commander"))
    station.until(lambda: len(station.events("start")) == 2)
    os.kill(station.supervisor.running()["robot"], signal.SIGKILL)
    assert station.finished() == FAILED
    assert station.heard("!!! robot died, killed by SIGKILL", "no gate")
    assert station.names("end") == ["teleop"]


def test_a_robot_that_ends_by_itself_is_a_loss_too(station):
    station.start(fake("robot", "robot", "--exit", "0", restart="never"), fake("front"))
    assert station.finished() == FAILED


def test_a_mistake_is_not_tried_again(station):
    station.start(fake("robot", "robot"), fake("recorder", "recorder", "--exit", "2"))
    assert station.finished() == MISTAKE
    assert station.names("start").count("recorder") == 1
    assert station.heard("!!! recorder refused to run", "recorder.log", "it ends with: recorder runs")


def test_the_end_of_the_leader_is_the_end_of_all(station):
    leader = fake("replay", "commander", "--after", "0.2", "--exit", "0", leads=True, restart="never")
    station.start(fake("robot", "robot"), leader)
    assert station.finished() == 0
    assert station.names("end") == ["robot"]


def test_the_leaders_exit_code_is_that_of_all(station):
    leader = fake("replay", "commander", "--exit", "7", leads=True, restart="never")
    station.start(fake("robot", "robot"), leader)
    assert station.finished() == 7


def test_one_that_does_not_end_is_killed_and_counts_as_a_failure(station):
    station.start(fake("front", "camera", "--stubborn"), fake("robot", "robot"), patience_s=0.3)
    station.until(lambda: len(station.events("start")) == 2)
    station.supervisor.end("asked")
    assert station.finished() == FAILED
    assert station.heard("front did not end within")
    assert station.names("end") == ["robot"]


def test_an_end_that_fails_is_told(station):
    station.start(fake("recorder", "recorder", "--at-end", "5"))
    station.until(lambda: station.events("start"))
    station.supervisor.end("asked")
    assert station.finished() == FAILED
    assert station.heard("recorder did not end well: exit code 5")


def test_what_a_process_has_started_itself_ends_with_it(station):
    station.start(fake("server", "server", "--child"))
    station.until(lambda: station.heard("child "))
    child = int(next(line for line in station.said if "child " in line).split()[-1])
    os.kill(station.supervisor.running()["server"], signal.SIGKILL)
    station.until(lambda: not is_there(child))


def test_a_terminal_that_goes_away_ends_everything_in_order(station):
    terminal = ["there"]

    def say(line):
        if not terminal:
            raise BrokenPipeError

    station.start(fake("robot", "robot"), fake("front"), fake("teleop", "commander"), say=say)
    station.until(lambda: len(station.events("start")) == 3)
    terminal.clear()
    os.kill(station.supervisor.running()["front"], signal.SIGKILL)
    assert station.finished() == FAILED
    assert station.names("end") == ["teleop", "robot"]


RUN = """
import sys
sys.argv, terminal = [a for a in sys.argv if a != "terminal"], "terminal" in sys.argv
if terminal:
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from robot_learning.deployment.plan import Process
from robot_learning.deployment.supervisor import Supervisor
def fake(name, role, *more):
    return Process(name, role, "fake", "fake_process", arguments=(name, *more))
teleop = Process("teleop", "commander", "fake", "fake_process", terminal=terminal,
                 arguments=("teleop", *["--keys"] * terminal))
processes = [fake("robot", "robot"), fake("front", "camera", "--child", *sys.argv[2:]), teleop]
sys.exit(Supervisor(processes, sys.argv[1], patience_s=2.0, say=lambda line: print(line, flush=True)).run())
"""


def supervised(station, *arguments):
    """The same in a process of its own, with all three running."""
    popen = subprocess.Popen(
        [sys.executable, "-c", RUN, str(station.folder / "logs"), *arguments], stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE_S
    while len(station.events("start")) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    return popen


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order_with_exit_code_0(station, which):
    popen = supervised(station)
    popen.send_signal(which)
    said, _ = popen.communicate(timeout=PATIENCE_S)
    assert popen.returncode == 0, said
    assert station.names("end") == ["teleop", "front", "robot"]


def test_a_second_signal_kills_what_does_not_end(station):
    popen = supervised(station, "--stubborn")
    popen.send_signal(signal.SIGINT)
    while "end" not in {what for what, _ in station.events()}:
        time.sleep(0.05)
    popen.send_signal(signal.SIGINT)
    said, _ = popen.communicate(timeout=PATIENCE_S)
    assert popen.returncode == FAILED
    assert "everything is killed" in said


def test_a_process_that_reads_keys_has_the_terminal_and_ctrl_c_still_ends_all_in_order(station):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    command = [sys.executable, "-c", RUN, str(station.folder / "logs"), "terminal"]
    popen = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    said = b""

    def until(text):
        nonlocal said
        end = time.monotonic() + PATIENCE_S
        while text not in said:
            assert time.monotonic() < end, said
            if select.select([master], [], [], 0.05)[0]:
                said += os.read(master, 4096)

    until(b"teleop runs")
    while not (station.folder / "logs" / "front.log").read_text().count("front runs"):
        time.sleep(0.05)
    while termios.tcgetattr(slave)[3] & termios.ECHO:
        time.sleep(0.05)
    os.write(master, b"w")
    until(b"key w")
    os.write(master, b"\x03")
    until(b"Ctrl-C; ending")
    assert popen.wait(PATIENCE_S) == 0
    assert station.names("end") == ["teleop", "front", "robot"]
    assert b"front runs" not in said  # the person at the terminal sees only what is serious, and their own process
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("stubborn", [(), ("--stubborn",)], ids=["willing", "stubborn"])
def test_nothing_is_left_when_the_supervisor_itself_is_killed(station, stubborn):
    popen = supervised(station, *stubborn)
    log, end = station.folder / "logs" / "front.log", time.monotonic() + PATIENCE_S
    while not (said := re.search(r"child (\d+)\n", log.read_text())):
        assert time.monotonic() < end
        time.sleep(0.05)
    child = int(said.group(1))
    popen.kill()
    popen.communicate(timeout=PATIENCE_S)
    end = time.monotonic() + PATIENCE_S
    while any(map(is_there, [*station.pids(), child])):
        assert time.monotonic() < end, [pid for pid in [*station.pids(), child] if is_there(pid)]
        time.sleep(0.05)
    ended = station.names("end")
    assert ended[0] == "teleop"
    assert ended[-1] == "robot"


def test_each_failure_doubles_the_wait_until_there_were_too_many():
    clock = FakeClock()
    failures = Restarts(clock)
    assert [failures.delay_s() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_failures_of_long_ago_are_forgotten():
    clock = FakeClock()
    failures = Restarts(clock)
    for _ in range(20):
        assert failures.delay_s() == 1.0
        clock.advance(restarts.WINDOW_S)
