"""LeRobot runs in an environment of its own; `make hardware` makes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venvs/lerobot/bin/python"
sys.path.insert(0, str(HERE.parents[1] / "data"))  # the store that the exports begin with


@pytest.fixture(scope="session")
def run_lerobot(tmp_path_factory):
    """Run a script of this folder in LeRobot's environment, where nothing of the network can be reached."""
    if not PYTHON.exists():
        pytest.skip(f"LeRobot's environment ({PYTHON}) is missing; make it with: make hardware")
    home = tmp_path_factory.mktemp("huggingface")
    proxy = "http://127.0.0.1:9"  # nobody listens there
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "https_proxy": proxy, "http_proxy": proxy}

    def run(script, *arguments):
        command = [str(PYTHON), str(HERE / script), *map(str, arguments)]
        surroundings = {**os.environ, **offline}
        got = subprocess.run(command, capture_output=True, text=True, timeout=240, env=surroundings, check=False)
        assert got.returncode == 0, got.stderr[-3000:]
        return got.stdout

    return run
