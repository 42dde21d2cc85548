from pathlib import Path

import pytest

from robot_learning.cli.train import parse
from robot_learning.errors import ConfigError, StoreError, UnknownName


def test_a_preset_sets_the_defaults_and_options_change_them():
    line = "--store s --policy diffusion_transformer_state --lr 3e-4 --config.layers 2 --observations a b"
    config = parse(line.split())
    assert (config.store, config.observations) == (Path("s"), ("a", "b"))
    assert (config.recipe.lr, config.recipe.warmup_steps) == (3e-4, 1000)
    assert (config.config.layers, config.config.Tp) == (2, 10)
    assert config.output.parent == Path("outputs/train")
    assert config.output.name.startswith("diffusion_transformer_state-")


def test_a_feature_s_normalisation_can_be_chosen():
    line = "--store s --config.normalization action z_score force quantile"
    config = parse(line.split())
    assert config.config.normalization == {"action": "z_score", "force": "quantile"}


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("--store s --policy=diffusion_unet_stat", UnknownName, "did you mean 'diffusion_unet_state'"),
        ("--store s --config.Tp 10", ConfigError, "Tp must be divisible by 4"),
        ("--store s --val-fraction 1", ConfigError, r"val-fraction must be in \[0, 1\); got 1.0"),
        ("--store s --resume --output nowhere", StoreError, "no run to resume in nowhere"),
        ("--resume", StoreError, "give it with --output"),
    ],
)
def test_mistakes_are_told_in_one_sentence(line, error, message):
    with pytest.raises(error, match=message):
        parse(line.split())


def test_a_store_is_asked_for(capsys):
    with pytest.raises(SystemExit) as stop:
        parse([])
    assert stop.value.code == 2
    assert "--store" in capsys.readouterr().err


def test_help_shows_the_preset_s_own_options(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(["--policy", "diffusion_transformer_image", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "--config.layers" in text
    assert "--config.dims" not in text
    assert "diffusion_unet_image_small" in text
