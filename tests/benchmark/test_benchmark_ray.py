"""Cells spread through Ray, where it is installed; and what is said where it is not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from robot_learning.cli.main import run
from robot_learning.errors import UserError

HERE = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HERE, reason="ray is installed")
def test_without_ray_the_error_names_what_to_install(tmp_path):
    line = ["benchmark", "--suite", "smoke", "--output", str(tmp_path), "--ray", "local"]
    with pytest.raises(UserError, match=r"library 'ray', which is not installed; run pip install"):
        run(line)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not HERE, reason="ray is not installed")
def test_a_cell_runs_through_ray(tmp_path):
    line = ["benchmark", "--suite", "smoke", "--only", "mse_state_small", "--workers", "1", "--ray", "local"]
    command = [sys.executable, "-m", "robot_learning.cli.main", *line, "--output", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [cell] = json.loads((tmp_path / "out" / "results.json").read_text())["cells"]
    assert (cell["preset"], len(cell["per_episode"])) == ("mse_state_small", 8)
    assert not list((tmp_path / "out").glob(".seen-*"))
