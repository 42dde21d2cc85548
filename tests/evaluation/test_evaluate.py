"""Whole evaluations in real processes, of policies that know nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from robot_learning.errors import ConfigError
from robot_learning.evaluation.evaluate import EvaluateConfig, evaluate
from robot_learning.evaluation.workers import groups

pytestmark = pytest.mark.timeout(900)  # a dozen processes import torch, each a few seconds on an idle machine


@pytest.fixture(scope="module")
def report(untrained, tmp_path_factory) -> tuple[dict, Path]:
    """Two checkpoints on four seeds, in two processes."""
    output = tmp_path_factory.mktemp("report")
    config = EvaluateConfig(
        untrained[0], "panda/lift", episodes=4, workers=2, batch=2, against=untrained[1], videos=1, output=output
    )
    return evaluate(config), output


def test_the_result_does_not_depend_on_the_number_of_workers(report, untrained, tmp_path):
    alone = evaluate(
        EvaluateConfig(untrained[0], "panda/lift", episodes=4, workers=1, batch=2, videos=0, output=tmp_path)
    )
    assert _outcomes(alone) == _outcomes(report[0])
    assert len({e["steps"] for e in alone["per_episode"]}) >= 1
    assert alone["videos"] == []


def test_the_report_says_what_was_run_where_and_with_what_result(report):
    content, output = report
    assert json.loads((output / "report.json").read_text()) == content
    assert [e["seed"] for e in content["per_episode"]] == [100_000, 100_001, 100_002, 100_003]
    assert content["partial"] is False
    assert content["snapshot"] == "0" * 64
    assert content["privileged"] == ["cube_position"]
    assert content["interval"][0] <= content["success_rate"] <= content["interval"][1]
    assert content["versions"]["torch"]
    assert content["machine"]["cores"] >= 1
    assert content["command"]


def test_two_checkpoints_are_compared_on_the_same_seeds(report):
    content, output = report
    assert content["against"]["snapshot"] == "1" * 64
    assert content["paired"]["seeds"] == 4
    assert content["paired"]["success_p"] == 1.0
    assert "McNemar" in (output / "report.html").read_text()


def test_the_page_stands_alone_with_its_videos(report):
    content, output = report
    text = (output / "report.html").read_text()
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", text) == []
    assert text.count("data:video/mp4") == 1
    (video,) = content["videos"]
    assert (output / video["file"]).stat().st_size > 1000
    assert "cube_position from the simulator" in text
    assert "Unseen seeds" in text


@pytest.mark.parametrize(("how", "code"), [("ctrl-c", 130), ("kill a worker", 2)])
def test_stopped_early_it_keeps_what_was_done_and_says_so(untrained, tmp_path, how, code):
    command = [sys.executable, "-m", "robot_learning.cli.main", "evaluate", "--env", "panda/lift", "--batch", "1"]
    command += ["--checkpoint", str(untrained[0]), "--episodes", "5000", "--workers", "1", "--output", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0) as process:
        assert process.stderr
        heard = b""
        while b"success 0/2" not in heard:  # two episodes are done
            heard += os.read(process.stderr.fileno(), 4096)
        if how == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
        else:
            os.kill(_worker_of(process.pid), signal.SIGKILL)
        heard += process.stderr.read()
        assert process.wait() == code
    assert b"Traceback" not in heard
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["partial"] is True
    assert 2 <= content["episodes"] < 5000
    assert "Partial: stopped after" in (tmp_path / "report.html").read_text()
    if how != "ctrl-c":
        assert b"exit code -9" in heard


def test_seeds_that_demonstrations_use_are_refused_unless_asked_for():
    with pytest.raises(ConfigError, match="seed 12 may have been used by training demonstrations"):
        EvaluateConfig(Path("x"), "panda/lift", first_seed=12)
    assert EvaluateConfig(Path("x"), "panda/lift", first_seed=12, allow_training_seeds=True).seeds[0] == 12


def test_groups_keep_the_order_and_lose_no_seed():
    assert groups(range(7), 3) == [(0, 1, 2), (3, 4, 5), (6,)]


def _outcomes(report: dict) -> list[dict]:
    return [{k: v for k, v in e.items() if k != "inference_ms"} for e in report["per_episode"]]


def _worker_of(parent: int) -> int:
    """The process that the evaluation spawned for its rollouts."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        if int(status[1]) == parent and "spawn_main" in command:
            return int(entry.name)
    raise AssertionError("no worker process")
