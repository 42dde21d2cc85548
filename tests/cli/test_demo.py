"""The demo, small, from end to end in real processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from robot_learning.demo import DemoConfig, Progress, demo, run_stage
from robot_learning.errors import ConfigError, UserError

pytestmark = pytest.mark.timeout(900)  # on a busy machine, software rendering of four films takes minutes
SMALL = ["--demonstrations", "4", "--steps", "6", "--episodes", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished small demo."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "robot_learning.cli.main", "demo", *SMALL, "--output", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "success" in done.stdout
    assert "page: out/report.html" in done.stdout
    return folder / "out"


def test_the_report_has_the_result_its_interval_and_the_time_of_each_stage(folder):
    report = json.loads((folder / "report.json").read_text())
    assert report["env"] == "panda/lift"
    assert report["episodes"] == 4
    assert report["demonstrations"] == 4
    assert 0 <= report["interval"][0] <= report["success_rate"] <= report["interval"][1] <= 1
    assert report["successes"] == round(4 * report["success_rate"])
    seconds = report["seconds"]
    assert list(seconds) == ["collect", "check", "train", "evaluate", "total"]
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"])
    seeds = [e["seed"] for e in report["evaluation"]["per_episode"]]
    assert seeds == [100_000, 100_001, 100_002, 100_003]


def test_the_page_stands_alone_and_says_what_the_figure_is_worth(folder):
    text = (folder / "report.html").read_text()
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", text) == []
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert text.count("data:video/mp4") == 4
    assert "data:image/jpeg" in text  # the contact sheet
    assert "cube_position, cube_orientation from the simulator" in text
    assert "seeds 100000 to 100003" in text
    for line in (
        "robot-learning collect --env panda/lift --episodes 4 --workers",
        "robot-learning data check out/store",
        "robot-learning train --store out/store --policy diffusion_unet_state_small",
        "robot-learning evaluate --checkpoint out/train --env panda/lift --episodes 4",
    ):
        assert line in text


def test_run_again_it_keeps_demonstrations_and_policy_and_evaluates_anew(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    ran: list[str] = []
    monkeypatch.setattr("robot_learning.cli.main.run", lambda arguments: ran.append(arguments[0]) or 0)
    before = (folder / "report.html").stat().st_mtime_ns
    said: list[str] = []
    demo(DemoConfig(output=folder.relative_to(folder.parent), demonstrations=4, steps=6, episodes=4), said.append)
    assert ran == ["data", "evaluate"]
    assert ["done before" in line for line in said] == [True, False, True, False]
    assert (folder / "report.html").stat().st_mtime_ns > before


def test_training_goes_on_from_its_newest_state_and_begins_anew_where_there_is_none(tmp_path, monkeypatch):
    ran: list[list[str]] = []
    monkeypatch.setattr("robot_learning.cli.main.run", lambda arguments: ran.append(arguments) or 0)
    config = DemoConfig(output=tmp_path)
    run_stage("train", ["train"], config.training)
    (config.training / "state" / "00001000").mkdir(parents=True)
    run_stage("train", ["train"], config.training)
    assert ran == [["train", "--overwrite"], ["train", "--resume"]]


def test_a_stage_stopped_by_ctrl_c_stops_the_demo_so(tmp_path, monkeypatch):
    monkeypatch.setattr("robot_learning.cli.main.run", lambda arguments: 130)
    with pytest.raises(KeyboardInterrupt):
        run_stage("train", ["train"], tmp_path)


def test_other_settings_in_the_same_folder_are_refused(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ConfigError, match="other settings"):
        demo(DemoConfig(output=folder.relative_to(folder.parent), demonstrations=5, steps=6, episodes=4))


def test_an_interrupted_stage_is_not_done_and_its_time_counts(tmp_path):
    path, commands = tmp_path / "progress.json", {"collect": ["collect"]}
    progress = Progress(path, commands)
    with pytest.raises(KeyboardInterrupt), progress.timed("collect"):
        raise KeyboardInterrupt
    again = Progress(path, commands)
    first = again.seconds["collect"]
    assert not again.done("collect")
    with again.timed("collect"):
        pass
    assert Progress(path, commands).done("collect")
    assert Progress(path, commands).seconds["collect"] > first


def test_damaged_progress_is_one_sentence(tmp_path):
    (tmp_path / "progress.json").write_text("{")
    with pytest.raises(UserError, match=r"can't read .*progress\.json"):
        Progress(tmp_path / "progress.json", {})
