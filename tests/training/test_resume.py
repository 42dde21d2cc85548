"""A run that is killed and resumed ends with the bits of one that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from toy_store import make_store

from robot_learning.cli.train import parse
from robot_learning.data.edits import edit
from robot_learning.errors import ConfigError, StoreError
from robot_learning.policies import checkpoint
from robot_learning.training.config import TrainConfig
from robot_learning.training.folder import RunRecord, prepare_resume, require_same
from robot_learning.training.metrics import read_metrics
from robot_learning.training.trainer import train

LINE = """--steps 60 --batch-size 8 --log-every 7 --validate-every 15 --checkpoint-every 10 --lr 1e-3 --warmup-steps 5
--config.dims 8 16 --config.step-dim 8 --config.Tp 8 --config.Ta 4"""
OPTIONS = LINE.split()


def start(*arguments):
    program = "from robot_learning.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "train", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_state(process, output, step):
    """Return as soon as the process has saved its state at `step` or later."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(int(p.name) >= step for p in (output / "state").glob("[0-9]*")):
            return
        time.sleep(0.002)
    raise AssertionError(f"no state at {step}: {process.communicate(timeout=5)}")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "store")


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "whole"
    process = start("--store", store.path, "--output", output, *OPTIONS)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "00000060" in out
    return output


def outcome(output):
    """All that should be the same, run by run: weights, moments and the curve without its times."""
    files = {
        p.relative_to(output).as_posix(): p.read_bytes()
        for p in [*output.glob("checkpoints/*/*.safetensors"), *output.glob("state/*/*.safetensors")]
    }
    curve = [{k: v for k, v in m.items() if k not in ("seconds", "samples_per_s")} for m in read_metrics(output)]
    return files, curve


def test_killed_twice_and_resumed_it_ends_with_the_same_bits(store, uninterrupted, tmp_path):
    output = tmp_path / "killed"
    process = start("--store", store.path, "--output", output, *OPTIONS)
    wait_for_state(process, output, 10)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    process = start("--resume", "--output", output)
    wait_for_state(process, output, 30)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    process = start("--resume", "--output", output)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    files, curve = outcome(output)
    expected_files, expected_curve = outcome(uninterrupted)
    assert "checkpoints/00000060/model.safetensors" in files
    assert files == expected_files
    assert curve == expected_curve
    assert [m["step"] for m in curve] == sorted({m["step"] for m in curve})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(store, number, tmp_path):
    output = tmp_path / "stopped"
    process = start("--store", store.path, "--output", output, *OPTIONS)
    wait_for_state(process, output, 10)
    process.send_signal(number)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    last = err.strip().splitlines()[-1]
    assert f"stopped by {number.name} after step" in last
    assert f"robot-learning train --resume --output {output}" in last
    assert "Traceback" not in err
    state = json.loads(next(output.glob("state/*/state.json")).read_text())
    assert checkpoint.describe(output)["training"]["step"] == state["progress"]["step"] >= 10


def test_other_settings_are_refused_on_resume(uninterrupted):
    saved = RunRecord.read(uninterrupted).config
    with pytest.raises(ConfigError, match="seed was 0, now it is 3"):
        require_same(TrainConfig.from_json(saved.to_json() | {"seed": 3}, "here"), saved)
    config = parse(["--resume", "--output", str(uninterrupted), "--lr", "3"])
    with pytest.raises(ConfigError, match=r"lr was 0\.001, now it is 3\.0; leave it out"):
        train(config, progress=False)


@pytest.fixture
def half_done(tmp_path):
    """A store, and a run on it that is done; the configuration that resumes it."""
    store = make_store(tmp_path / "store")
    config = small_config(store, tmp_path / "run")
    train(config, progress=False)
    return store, replace(config, resume=True)


def small_config(store, output):
    config = TrainConfig.of_preset("diffusion_unet_state_small", store.path, output=output)
    return replace(
        config,
        config=replace(config.config, dims=(8, 16), step_dim=8, Tp=8, Ta=4),
        recipe=replace(config.recipe, steps=3, batch_size=4),
    )


def test_a_finished_run_resumes_to_nothing(half_done):
    _, config = half_done
    before = outcome(config.output)
    assert train(config, progress=False).step == 3
    assert outcome(config.output) == before


def test_a_store_that_has_grown_is_resumed_on_the_old_episodes(half_done):
    store, config = half_done
    make_store(store.path, episodes=2)
    assert train(config, progress=False).step == 3


def test_a_store_whose_episodes_were_edited_is_refused(half_done):
    store, config = half_done
    edit(store, store.episodes()[0].id, task="another task")
    with pytest.raises(StoreError, match=r"edited since the run in .* began"):
        train(config, progress=False)


def test_a_truncated_state_is_refused(half_done):
    _, config = half_done
    tensors = next(config.output.glob("state/*/state.safetensors"))
    tensors.write_bytes(tensors.read_bytes()[:1000])
    with pytest.raises(StoreError, match="is damaged or not of this run"):
        train(config, progress=False)


def test_a_folder_without_a_run_is_refused(half_done, tmp_path):
    with pytest.raises(StoreError, match=r"no run to resume in .*: it has no train\.json"):
        train(replace(half_done[1], output=tmp_path / "none"), progress=False)


def test_another_number_of_processes_is_refused(half_done):
    _, config = half_done
    with pytest.raises(ConfigError, match="began with 1 processes, now there are 2"):
        prepare_resume(config, RunRecord.read(config.output), config.output, processes=2)


def test_processes_that_would_train_alone_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="launched as 2 processes, but accelerate joins 1"):
        train(small_config(store, tmp_path / "run"), progress=False)
