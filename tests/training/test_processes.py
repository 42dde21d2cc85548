"""Two processes train as one with twice the batch does."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from toy_store import make_store

from robot_learning.cli.train import parse
from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError
from robot_learning.training.metrics import read_metrics
from robot_learning.training.order import Batches
from robot_learning.training.trainer import train

# No dropout: its masks differ between processes. Random crops, diffusion's steps and its noise are compared.
LINE = """--policy diffusion_unet_image_small --steps 5 --log-every 1 --lr 1e-4 --warmup-steps 1 --val-fraction 0
--config.dims 8 16 --config.step-dim 8 --config.Tp 8 --config.Ta 4 --config.vision.image-size 40 40
--config.vision.backbone resnet10t --config.vision.keypoints 4 --config.vision.feature-dim 8"""
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2"]
PROGRAM = "from robot_learning.cli.main import main; main()"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "store", image=True)


def options(store, output, batch_size):
    return [*LINE.split(), "--store", str(store.path), "--output", str(output), "--batch-size", str(batch_size)]


def test_two_processes_give_the_loss_curve_of_one_with_the_same_global_batch(store, tmp_path):
    train(parse(options(store, tmp_path / "one", 8)), progress=False)
    (tmp_path / "train.py").write_text(PROGRAM)
    command = [sys.executable, *LAUNCH, "--main_process_port", "0", str(tmp_path / "train.py"), "train"]
    done = subprocess.run(
        [*command, *options(store, tmp_path / "two", 4)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert len(one) == len(two) == 5
    assert [m["loss"] for m in two] == pytest.approx([m["loss"] for m in one], abs=1e-4)
    assert [m["grad_norm"] for m in two] == pytest.approx([m["grad_norm"] for m in one], rel=1e-3)


class GoalsOnly:
    """Windows that give the numbers that their goals are drawn with."""

    spec = WindowSpec(1, 1, goal=1)

    def batch(self, indices, rng):
        return {"window": np.asarray(indices), "drawn": rng.random(len(indices))}


def test_a_window_s_goal_does_not_depend_on_how_many_processes_share_the_batch():
    usable = np.arange(40)
    whole = next(Batches(GoalsOnly(), usable, 3, 6, torch.device("cpu")).iterate(2))
    parts = [next(Batches(GoalsOnly(), usable, 3, 3, torch.device("cpu"), rank, 2).iterate(2)) for rank in (0, 1)]
    for name in ("window", "drawn"):
        assert all((p[name] == whole[name][rank::2]).all() for rank, p in enumerate(parts))


def test_a_launcher_that_starts_one_process_of_two_is_found_out(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    config = parse(options(store, tmp_path / "run", 4))
    with pytest.raises(ConfigError, match=r"asked for several processes and started one; .* --multi_gpu"):
        train(config, progress=False)
