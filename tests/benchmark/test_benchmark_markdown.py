"""The Markdown section: figures from the JSON, markers replaced and not doubled."""

from __future__ import annotations

import json

import pytest
from results_json import cell, results

from robot_learning.benchmark.markdown import put, section
from robot_learning.benchmark.summary import ALL_TASKS, pair, rows
from robot_learning.cli.main import run
from robot_learning.errors import ConfigError, StoreError
from robot_learning.evaluation.statistics import wilson


def test_training_seeds_are_pooled_and_several_tasks_get_a_row_of_all():
    done = [
        cell("a", "push", [True, False]), cell("a", "push", [True, True], seed=1), cell("a", "pull", [False, False]),
        cell("b", "push", [True, True]),
    ]  # fmt: skip
    found = {(row.preset, row.task): row for row in rows(done)}
    assert (found["a", "push"].successes, found["a", "push"].episodes, found["a", "push"].seeds) == (3, 4, (0, 1))
    assert found["a", "push"].success == wilson(3, 4)
    assert found["a", ALL_TASKS].successes == 3
    assert ("b", ALL_TASKS) not in found  # it has not done all of them


def test_pairs_are_of_the_same_task_and_seeds():
    done = [cell("a", "push", [True, True, False]), cell("b", "push", [True, False, True])]
    done += [cell("a", "pull", [True, True]), cell("b", "pull", [False, False], seed=1)]
    paired = pair(done, "a", "b")
    assert (paired.seeds, paired.only_first, paired.only_second) == (3, 1, 1)
    assert pair(done, "a", "c") is None


def test_the_section_has_figures_intervals_conditions_and_what_others_published():
    text = section(results([cell("a", "pusht", [True, True, False, False])], failed={"b/pusht": "no memory | left"}))
    assert "| `a` | 50 % (2 of 4) | 15.0 to 85.0 % | 0.500 |" in text
    assert "1,000 | 2.0 min | 25 | 4.0 ms |" in text
    assert "a CPU, 2 cores, GPU: none" in text
    assert "commit abc1234" in text
    assert "`objects` from the simulator" in text
    assert "seeds 100000 to 100003" in text
    assert "| `b/pusht` | no memory / left |" in text
    assert "not run again here" in text
    assert "| Diffusion Policy, U-Net | 0.95 / 0.91 |" in text
    assert "arXiv 2303.04137" in text


def test_a_section_is_replaced_where_it_is_and_others_stay():
    old, other = section(results([])), section(results([], suite="smoke"))
    document = f"# Results\n\nbefore\n\n{old}\n\nbetween\n\n{other}\n\nafter\n"
    new = section(results([cell("a", "pusht", [True])]))
    replaced = put(document, new)
    assert replaced == f"# Results\n\nbefore\n\n{new}\n\nbetween\n\n{other}\n\nafter\n"
    assert put(replaced, new) == replaced


def test_a_marker_without_its_end_or_twice_is_not_guessed_at():
    new, other = section(results([])), section(results([], suite="smoke"))
    begin = new.split("\n")[0]
    for document in (f"{begin}\n\ntext", f"{begin}\n\n{other}"):
        with pytest.raises(ConfigError, match="mend it by hand"):
            put(document, new)
    with pytest.raises(ConfigError, match="2 sections"):
        put(f"{new}\n{new}", new)


def test_the_command_writes_into_a_document_and_again_changes_nothing(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text(json.dumps(results([cell("a", "pusht", [True])])))
    document = tmp_path / "results.md"
    document.write_text("# Results\n")
    line = ["benchmark", "--report", str(tmp_path / "out"), "--into", str(document)]
    assert run(line) == 0
    first = document.read_text()
    assert first.startswith("# Results\n\n<!-- benchmark:pusht-human-state -->\n")
    assert first.endswith("<!-- /benchmark -->\n")
    assert run(line) == 0
    assert document.read_text() == first


def test_results_that_are_not_there_or_of_another_format_are_told_in_one_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"results\.json is missing"):
        run(["benchmark", "--report", str(tmp_path)])
    (tmp_path / "results.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="format 99"):
        run(["benchmark", "--report", str(tmp_path)])
