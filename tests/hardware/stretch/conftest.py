"""Hello Robot's genuine library, in its own environment, with a fleet folder as a robot has one."""

import fcntl
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from stretch_fleet import environment, make_fleet

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "drivers" / "stretch"))  # the rigs of its tests
ASK = "import json, importlib.util as u; print(json.dumps(u.find_spec('stretch_body').submodule_search_locations[0]))"


@pytest.fixture(scope="session")
def stretch_python():
    """The Python that has stretch_body."""
    python = ROOT / ".venvs" / "stretch" / "bin" / "python"
    if not python.exists():
        pytest.skip("the environment .venvs/stretch with hello-robot-stretch-body is missing: make hardware")
    pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is missing here: make hardware")
    return str(python)


@pytest.fixture(scope="session")
def library(stretch_python):
    """The folder of stretch_body."""
    found = subprocess.run([stretch_python, "-c", ASK], capture_output=True, text=True, env=environment(), check=False)
    if found.returncode:
        pytest.skip(f"{stretch_python} has no stretch_body: make hardware")
    return Path(json.loads(found.stdout))


@pytest.fixture(scope="module")
def alone():
    """The library's lock is one per machine, and it waits a second for it: one file of tests at a time."""
    with open(Path(tempfile.gettempdir()) / "robot_learning_stretch_body_tests", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def fleet(tmp_path, stretch_python, library, monkeypatch):
    """The folder of an SE3, in this process's environment."""
    variables = make_fleet(tmp_path / "fleet", stretch_python, "SE3")
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    return variables


@pytest.fixture
def inside(stretch_python, library):
    """Run code in the library's own Python, with our worker importable; returns what it printed last, as JSON."""

    def run(code, variables):
        done = subprocess.run(
            [stretch_python, "-c", code],
            capture_output=True, text=True, timeout=240, check=False,
            env=environment(**variables, PYTHONPATH=str(ROOT / "drivers" / "stretch"), OMP_NUM_THREADS="1"),
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    return run
