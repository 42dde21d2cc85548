"""The suite `smoke` in real processes: killed, stopped, gone on with; a cell that fails beside one that does not."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from robot_learning.benchmark.cells import cells
from robot_learning.benchmark.run import RunConfig, run
from robot_learning.benchmark.suites import suite
from robot_learning.errors import StoreError
from robot_learning.evaluation.statistics import wilson

pytestmark = pytest.mark.timeout(600)
LINE = [sys.executable, "-m", "robot_learning.cli.main", "benchmark", "--suite", "smoke", "--workers", "1"]
BAD, GOOD = "mse_state_small/two_way", "diffusion_unet_state_small/two_way"


def start(output: Path, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*LINE, "--output", str(output), *more], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def newest_state(folder: Path) -> int:
    return max((int(p.name) for p in (folder / "train" / "state").glob("[0-9]*")), default=0)


def wait_for_state(process: subprocess.Popen, folder: Path, after: int) -> int:
    """The step of the first state saved after step `after`."""
    until = time.monotonic() + 300
    while (step := newest_state(folder)) <= after:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    return step


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """One cell killed, then stopped by Ctrl-C, then gone on with beside a cell that can't be trained."""
    output = tmp_path_factory.mktemp("benchmark") / "out"
    bad, good = cells(suite("smoke"), output)
    assert (bad.name, good.name) == (BAD, GOOD)

    first = start(output, "--only", GOOD)
    killed_at = wait_for_state(first, good.folder, 0)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()

    second = start(output, "--only", GOOD)
    wait_for_state(second, good.folder, killed_at)
    second.send_signal(signal.SIGINT)
    told, _ = second.communicate(timeout=120)
    stopped_at = newest_state(good.folder)

    (bad.folder / "train" / "state" / "00000005").mkdir(parents=True)
    (bad.folder / "train" / "train.json").write_text("{")
    third = start(output)
    said, _ = third.communicate(timeout=500)
    return SimpleNamespace(
        output=output, bad=bad, good=good, killed_at=killed_at, stopped_at=stopped_at,
        second=(second.returncode, told), third=(third.returncode, said),
        results=json.loads((output / "results.json").read_text()),
    )  # fmt: skip


def test_ctrl_c_saves_and_what_was_done_is_not_done_again(story):
    code, told = story.second
    assert code == 130, told
    assert 0 < story.killed_at < story.stopped_at < 100
    log = (story.good.folder / "log.txt").read_text()
    assert len(re.findall(r"^\$ robot-learning train .*--overwrite", log, re.M)) == 1
    assert len(re.findall(r"^\$ robot-learning train --resume", log, re.M)) == 2
    assert f"stopped by SIGINT after step {story.stopped_at}" in log
    steps = [json.loads(line)["step"] for line in (story.good.folder / "train" / "metrics.jsonl").open()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 100


def test_a_cell_that_fails_is_told_with_its_error_and_the_others_are_done(story):
    code, said = story.third
    assert code == 1
    assert list(story.results["failed"]) == [BAD]
    assert re.search(r"can't read .*train\.json", story.results["failed"][BAD])
    assert f"failed: {BAD}: can't read" in said
    assert [cell["preset"] for cell in story.results["cells"]] == ["diffusion_unet_state_small"]
    assert story.results["missing"] == []


def test_the_results_have_figures_and_where_they_come_from(story):
    [cell] = story.results["cells"]
    assert [e["seed"] for e in cell["per_episode"]] == list(range(100_000, 100_008))
    assert (cell["steps"], cell["demonstrations"], cell["seed"]) == (100, 10, 0)
    assert cell["curve"][-1]["step"] == 100
    assert {"loss", "val_loss", "seconds"} <= cell["curve"][-1].keys()
    for made in (cell, story.results):
        assert {"processor", "cores"} <= made["machine"].keys()
        assert "torch" in made["versions"]
        assert {"gpu", "commit"} <= made.keys()
        assert made["command"].startswith("robot-learning ")
    page = (story.output / "report.html").read_text()
    successes = sum(e["success"] for e in cell["per_episode"])
    assert wilson(successes, 8).percent() in page
    assert BAD in page
    assert "data:video/mp4" in page or "data:image/webp" in page
    [link] = re.findall(r'<a href="([^"]+)"', page)
    assert (story.output / link).is_file()


def test_what_is_done_is_left_as_it_is(story):
    before = (story.good.folder / "result.json").stat().st_mtime_ns
    again = start(story.output, "--only", GOOD)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert f"{GOOD}: done before" in said
    assert (story.good.folder / "result.json").stat().st_mtime_ns == before
    assert story.bad.name in json.loads((story.output / "results.json").read_text())["missing"]


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with open(tmp_path / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another benchmark runs in"):
            run(RunConfig("smoke", tmp_path), lambda text: None)
