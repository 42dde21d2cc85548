"""Suites and their cells: names, choices, and what makes a cell another one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from robot_learning.benchmark.cells import RESULT, cells, choose
from robot_learning.benchmark.jobs import StoreJob
from robot_learning.benchmark.run import RunConfig, run
from robot_learning.benchmark.suites import SUITES, Experts, Suite, Task, suite
from robot_learning.errors import ConfigError, UnknownName, UserError
from robot_learning.sim import registry

OUT = Path("out")


def smoke(**changes) -> Suite:
    return replace(suite("smoke"), **changes)


@pytest.mark.parametrize("one", SUITES, ids=lambda s: s.name)
def test_each_suite_s_tasks_are_simulated_and_its_seeds_are_unseen(one):
    for task in one.tasks:
        registry.require(task.env)
    assert one.first_seed >= 100_000
    assert len({task.name for task in one.tasks}) == len(one.tasks)
    assert len(set(one.presets)) == len(one.presets)


def test_metaworld_has_easy_medium_and_hard_tasks_with_25_demonstrations():
    for name in ("metaworld-state", "metaworld-image"):
        tasks = suite(name).tasks
        assert len(tasks) >= 6
        assert {task.level for task in tasks} == {"easy", "medium", "hard"}
        assert {(task.data.episodes, task.data.cameras) for task in tasks} == {(25, name == "metaworld-image")}


def test_names_that_are_not_known_get_the_closest():
    with pytest.raises(UnknownName, match="did you mean 'smoke'"):
        suite("smok")
    with pytest.raises(UnknownName, match=r"suite 'smoke': .* did you mean 'mse_state_small'"):
        cells(smoke(presets=("mse_state_smal",)), OUT)
    with pytest.raises(UnknownName, match="did you mean 'mse_state_small'"):
        choose(cells(smoke(), OUT), ["mse_state_smal"])


def test_a_preset_that_observes_something_else_is_refused():
    with pytest.raises(ConfigError, match="'diffusion_unet_image' observes images"):
        cells(smoke(presets=("diffusion_unet_image",)), OUT)


def test_a_suite_needs_one_budget():
    with pytest.raises(ConfigError, match="steps or minutes"):
        Suite("mine", "", (Task("two_way", "two_way", Experts(1)),), ("mse_state_small",), steps=5, minutes=1)


def test_cells_are_chosen_by_preset_task_or_both():
    every = cells(smoke(seeds=(0, 1)), OUT)
    assert len(every) == 4
    assert {c.preset for c in choose(every, ["mse_state_small"])} == {"mse_state_small"}
    assert len(choose(every, ["mse*/two_way"])) == 2
    assert choose(every, ["two_way"]) == every == choose(every, [])


def test_another_budget_is_another_folder_and_other_evaluation_seeds_only_another_result(tmp_path):
    cell, longer, more = (cells(smoke(**change), tmp_path)[0] for change in ({}, {"steps": 101}, {"episodes": 9}))
    assert cell.folder == more.folder != longer.folder
    cell.folder.mkdir(parents=True)
    (cell.folder / RESULT).write_text(json.dumps({"digest": cell.digest}))
    assert cell.result() is not None
    assert more.result() is None
    (cell.folder / RESULT).write_text("{")
    assert cell.result() is None


def test_training_seeds_can_be_asked_for(tmp_path):
    config = RunConfig("smoke", tmp_path, seeds=(1, 2))
    assert {cell.seed for cell in cells(config.the_suite(), tmp_path)} == {1, 2}
    for seeds in ((1, 1), (-1,)):
        with pytest.raises(ConfigError, match=r"--seeds must be different and at least 0; got"):
            RunConfig("smoke", tmp_path, seeds=seeds)


def test_an_import_needs_its_source_before_anything_runs(tmp_path):
    config = RunConfig("pusht-human-state", tmp_path / "out", presets=("mse_state_small",))
    with pytest.raises(UserError, match=r"206 human demonstrations .*--source"):
        run(config)
    with pytest.raises(UserError, match="there is nothing at"):
        run(replace(config, source=tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_pusht_is_imported_with_its_mirror_images(tmp_path):
    job = StoreJob(suite("pusht-human-state").tasks[0], tmp_path / "s", tmp_path / "p.zarr")
    assert next(job.stages()) == [
        "data", "import", str(tmp_path / "p.zarr"), str(tmp_path / "s"), "--layout", "pusht", "--mirror",
    ]  # fmt: skip
