"""Everything that decides a training run; free of torch, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import TypeAdapter, ValidationError

from robot_learning.errors import ConfigError, StoreError
from robot_learning.policies import presets, registry
from robot_learning.policies.config import PolicyConfig
from robot_learning.policies.recipe import Recipe

FORMAT = 1
DEFAULT_PRESET = "diffusion_unet_state_small"
PATHS = ("store", "output", "cache", "begin_with")


@dataclass(frozen=True)
class TrainConfig:
    """Train a policy on the demonstrations of a store.

    Attributes:
        store: The store of demonstrations.
        output: Folder for checkpoints and curves [default: outputs/train/<policy>-<date and time>].
        policy: Preset: a policy's configuration and the recipe that trains it. It sets the defaults below.
        recipe: How it is optimised.
        config: The policy's own configuration.
        observations: Features to observe [default: from state, all vectors; from images, all colour
            images and the robot's own state].
        episodes: Ids of the episodes to use [default: all that are not marked as failures].
        max_episodes: Use the first so many.
        include_failures: Also imitate episodes whose outcome is "failure".
        val_fraction: Part of the episodes that is held out for the validation loss.
        seed: Of weights, data order, noise and the choice of held-out episodes.
        precision: Mixed precision; fp16 needs a GPU.
        cache: Folder of derived training caches [default: in the store].
        log_every: Steps between lines in metrics.jsonl.
        validate_every: Steps between validation losses.
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: How many of the newest checkpoints stay.
        begin_with: Take the first weights from this checkpoint of the same policy, e.g. of a pre-training.
        resume: Go on where the run in --output stopped, to the same bits.
        overwrite: Delete what an earlier run left in --output.
    """

    store: Path
    output: Path | None = None
    policy: str = DEFAULT_PRESET
    recipe: Annotated[Recipe, tyro.conf.arg(name="")] = field(
        default_factory=lambda: presets.preset(DEFAULT_PRESET).recipe
    )
    config: PolicyConfig = field(default_factory=lambda: presets.preset(DEFAULT_PRESET).config)
    observations: tuple[str, ...] = ()
    episodes: tuple[str, ...] = ()
    max_episodes: int | None = None
    include_failures: bool = False
    val_fraction: float = 0.05
    seed: int = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    cache: Path | None = None
    log_every: int = 100
    validate_every: int = 1000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 10
    begin_with: Path | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise ConfigError(f"val-fraction must be in [0, 1); got {self.val_fraction}.")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative; got {self.seed}.")
        for name in ("max_episodes", "log_every", "validate_every", "checkpoint_every", "keep_checkpoints"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name.replace('_', '-')} must be at least 1; got {value}.")
        if self.resume and self.overwrite:
            raise ConfigError("--resume goes on and --overwrite begins anew; give one of them.")

    @staticmethod
    def of_preset(name: str, store: str | Path, **changes: Any) -> TrainConfig:
        """The configuration of the preset called `name`, with changes to fields of this class."""
        chosen = presets.preset(name)
        content: dict[str, Any] = {"policy": name, "config": chosen.config, "recipe": chosen.recipe} | changes
        return TrainConfig(store=Path(store), **content)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict, without the flags that say how to start."""
        content = asdict(self) | {name: _text(getattr(self, name)) for name in PATHS}
        content["config"] = {"policy": self.config.policy, **content["config"]}
        return {"format": FORMAT, **{k: v for k, v in content.items() if k not in ("resume", "overwrite")}}

    @staticmethod
    def from_json(content: dict[str, Any], source: str) -> TrainConfig:
        """The inverse of `to_json`; `source` is named in errors."""
        content = dict(content)
        if (version := content.pop("format", None)) != FORMAT:
            raise StoreError(f"{source} has format {version}, this version of robot_learning reads {FORMAT}.")
        try:
            config = dict(content.pop("config"))
            content["config"] = registry.parse_config(config.pop("policy"), config)
            content["recipe"] = TypeAdapter(Recipe).validate_python(content["recipe"])
            for name in PATHS:
                content[name] = Path(content[name]) if content.get(name) else None
            for name in ("observations", "episodes"):
                content[name] = tuple(content[name])
            return TrainConfig(**content)
        except (KeyError, TypeError, ValidationError) as error:
            raise StoreError(f"{source} is damaged: {' '.join(str(error).split())}.") from None


def _text(path: Path | None) -> str | None:
    return str(path.resolve()) if path is not None else None
