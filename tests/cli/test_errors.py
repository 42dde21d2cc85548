"""A user's mistakes: exit code 2 and one sentence that says what is wrong and what to do, never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robot_learning.cli.main import main
from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.store import Store
from robot_learning.data.windows import WindowSpec
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.diffusion.config import DiffusionUNetConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


@pytest.fixture
def sentence(monkeypatch, capfd):
    """Runs `robot-learning <line>`, expects a refusal and returns its sentence."""

    def run(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["robot-learning", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        error = capfd.readouterr().err
        assert end.value.code == 2, error
        assert "Traceback" not in error
        lines = error.strip().splitlines()
        assert lines[-1].startswith("robot-learning: ")
        assert lines[-1].endswith((".", "'"))
        return lines[-1]

    return run


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """A checkpoint made on a rig that no environment here has."""
    streams = [
        StreamSpec(name=name, shape=(2,), dtype="float64", unit="m", rate_hz=20.0) for name in ("place", "action_gated")
    ]
    features = [
        Feature(name="place", stream="place", role="observation", alignment="previous", max_age_s=0.1),
        Feature(name="action", stream="action_gated", role="action", alignment="previous", max_age_s=0.1),
    ]
    contract = Contract(rig="r", robot="crane", policy_rate_hz=20.0, streams=tuple(streams), features=tuple(features))
    config = DiffusionUNetConfig(dims=(8,), step_dim=8, groups=4)
    both = {"place": [1.0, 1.0], "action": [1.0, 1.0]}
    normalizer = Normalizer({"place": "min_max", "action": "min_max"}, both, both)
    torch.manual_seed(0)
    policy = registry.make(config, contract, View(("place",), ("action",), WindowSpec(2, 16)), normalizer)
    return checkpoint.save(tmp_path_factory.mktemp("foreign") / "policy", policy, "0" * 64)


@pytest.fixture
def future_store(tmp_path) -> Path:
    """A store of a format version that is yet to come."""
    store = Store.create(tmp_path / "future")
    record = json.loads((store.path / "store.json").read_text())
    (store.path / "store.json").write_text(json.dumps(record | {"version": 99}))
    return store.path


@pytest.fixture
def taken(tmp_path) -> Path:
    """A file where a folder should be."""
    (tmp_path / "taken").write_text("")
    return tmp_path / "taken"


def test_a_checkpoint_of_another_contract_names_both_sides(sentence, foreign, tmp_path):
    text = sentence(f"evaluate --checkpoint {foreign} --env panda/lift --output {tmp_path}")
    assert "crane" in text
    assert "panda" in text
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    "command", ["data check {}", "data info {}", "train --store {}", "collect --env pusht --store {}"]
)
def test_a_store_of_another_format_version_names_both_versions(sentence, future_store, command):
    text = sentence(command.format(future_store))
    assert "99" in text
    assert "1" in text.replace("99", "")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("evalute --help", "evaluate"),
        ("evaluate --checkpoint {foreign} --env panda/lfit --output {out}", "panda/lift"),
        ("collect --env panda/pikc_place --store {out}/store", "panda/pick_place"),
        ("train --store {out} --policy difusion_unet_state_small", "diffusion_unet_state_small"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_closest(sentence, foreign, tmp_path, line, meant):
    assert f"did you mean '{meant}'?" in sentence(line.format(foreign=foreign, out=tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "evaluate --checkpoint {foreign} --env panda/lift --output {taken}",
        "evaluate --checkpoint {foreign} --env panda/lift --output {taken}/below",
        "demo --output {taken}",
        "collect --env panda/lift --episodes 1 --store {taken}",
        "collect --env panda/lift --episodes 1 --store {taken}/below",
    ],
)
def test_an_output_that_cannot_be_written_is_named_before_the_work(sentence, foreign, taken, line):
    assert str(taken) in sentence(line.format(foreign=foreign, taken=taken))


def test_a_full_disk_is_one_sentence(tmp_path):
    unshare = shutil.which("unshare")
    mount = f"mount -t tmpfs -o size=8k none {tmp_path}"
    if (
        unshare is None
        or subprocess.run([unshare, "-m", "sh", "-c", mount], capture_output=True, check=False).returncode
    ):
        pytest.skip("a small file system of one's own needs root")
    command = f"{sys.executable} -m robot_learning.cli.main demo --output {tmp_path}/demo"
    fill = f"cat /dev/zero > {tmp_path}/filler 2> /dev/null"
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", f"{mount}; {fill}; exec {command}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_that_is_missing_or_cut_off_is_named(sentence, foreign, tmp_path):
    assert "there is no checkpoint" in sentence(
        f"evaluate --checkpoint {tmp_path}/no --env panda/lift --output {tmp_path}"
    )
    broken = tmp_path / "broken"
    shutil.copytree(foreign, broken)
    (broken / "checkpoint.json").write_text((broken / "checkpoint.json").read_text()[:100])
    assert "damaged" in sentence(f"evaluate --checkpoint {broken} --env panda/lift --output {tmp_path}")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("evaluate --checkpoint x --env y --episodes 0", "--episodes"),
        ("evaluate --checkpoint x --env y --first-seed 99", "training demonstrations"),
        ("evaluate --checkpoint x --env y --workers 0", "--workers"),
        ("demo --demonstrations 0", "--demonstrations"),
        ("demo --steps 0", "--steps"),
    ],
)
def test_a_number_that_makes_no_sense_is_named_with_its_rule(sentence, line, word):
    assert word in sentence(line)


def test_the_process_itself_ends_with_code_two_and_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "robot_learning.cli.main", "colect"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "did you mean 'collect'?" in done.stderr
