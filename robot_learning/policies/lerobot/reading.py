"""A LeRobot checkpoint (as of LeRobot 0.4.4) as it lies on disk: options, features, weights, statistics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from robot_learning.data.importers import IMAGE_PX_MIN, is_image
from robot_learning.errors import ConfigError, UserError
from robot_learning.policies.config import Method

STATE, ENVIRONMENT, ACTION = "observation.state", "observation.environment_state", "action"
VECTORS = {STATE: "STATE", ENVIRONMENT: "ENV", ACTION: "ACTION"}  # key to LeRobot's type
CONFIG, WEIGHTS = "config.json", "model.safetensors"
BEFORE, AFTER = "policy_preprocessor.json", "policy_postprocessor.json"
NORMALIZER = "normalizer_processor"
# Steps that change nothing but names, places and what is normalised.
STEPS = (
    NORMALIZER,
    "unnormalizer_processor",
    "rename_observations_processor",
    "to_batch_processor",
    "device_processor",
)
NEARLY_ZERO = 2.0**-26  # a power of two, so that scaling by it rounds nothing
RESNETS = tuple(f"resnet{depth}" for depth in (18, 34, 50, 101, 152))


@dataclass(frozen=True)
class Source:
    """A checkpoint of LeRobot.

    Attributes:
        config: config.json.
        shapes: key to shape of what the network reads and makes: state, environment state, images (H, W, 3), action.
        unread: keys of features that LeRobot passes on, but its networks do not read.
        modes: type of a feature to how it is normalised.
        statistics: `<key>.<statistic>` of the normaliser.
        eps: what it adds to standard deviations.
        weights: by LeRobot's names.
    """

    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    unread: tuple[str, ...]
    modes: Mapping[str, str]
    statistics: Mapping[str, Tensor]
    eps: float
    weights: Mapping[str, Tensor]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Keys of the images, in LeRobot's order."""
        return tuple(key for key in self.shapes if key not in VECTORS)

    def option(self, key: str) -> Any:
        """An option of config.json; ConfigError where it has none of that name."""
        if key not in self.config:
            raise ConfigError(f"config.json of a LeRobot {self.config['type']} policy should have {key!r}.")
        return self.config[key]

    def count(self, key: str) -> int:
        """An option that is a whole number; ConfigError where it is something else."""
        if not isinstance(value := self.option(key), int):
            raise ConfigError(f"config.json: {key}={value!r} can't be imported; a whole number can.")
        return value

    def require(self, key: str, allowed: Iterable[Any], why: str) -> None:
        """Raise ConfigError where an option has none of the `allowed` values."""
        values = tuple(allowed)
        if (value := self.option(key)) not in values:
            can = " or ".join(map(repr, values))
            raise ConfigError(f"config.json: {key}={value!r} can't be imported; {can} can, for {why}.")

    def affine(self, key: str) -> tuple[Method, Tensor, Tensor]:
        """How a feature is normalised: our method, and scale and offset (float64) as in `Normalizer`."""
        mode = self.modes.get(VECTORS.get(key, "VISUAL"), "IDENTITY")
        if mode == "MEAN_STD":
            mean, std = self._statistic(key, "mean"), self._statistic(key, "std")
            divisor = self._divisor(key, mean, std, std if key == ACTION else std + self.eps)
            return "z_score", 1 / divisor, -mean / divisor
        if mode == "MIN_MAX":
            low, high = self._statistic(key, "min"), self._statistic(key, "max")
            divisor = self._divisor(key, low, high - low, (high - low) / 2)
            return "min_max", 1 / divisor, -1 - low / divisor
        if mode == "IDENTITY":
            return "identity", torch.ones(self._size(key)).double(), torch.zeros(self._size(key)).double()
        raise ConfigError(
            f"{BEFORE}: {mode} normalisation of '{key}' can't be imported; MEAN_STD, MIN_MAX and IDENTITY can."
        )

    def _divisor(self, key: str, centre: Tensor, spread: Tensor, divisor: Tensor) -> Tensor:
        """`divisor`, but where the data is constant: LeRobot then divides by 1e-8.

        Such an action is made to be its constant likewise (MIN_MAX: of this the CVAE, in training, may see 0 instead of
        -1). Such an observation is centred and not scaled, as in `Normalizer`: the same for the value that was seen,
        while a deviation of 1e-6 does not become 100.
        """
        constant = spread <= (torch.finfo(torch.float32).eps * centre.abs()).clamp(min=self.eps)
        return torch.where(constant, NEARLY_ZERO if key == ACTION else 1.0, divisor)

    def pixel_statistics(self, key: str) -> dict[str, Tensor]:
        """`mean` and `std`, (3, 1, 1) each, by which an image in [0, 1] is normalised."""
        _, scale, offset = self.affine(key)
        return {"mean": (-offset / scale).float().view(3, 1, 1), "std": (1 / scale).float().view(3, 1, 1)}

    def _size(self, key: str) -> int:
        return 3 if key in self.cameras else self.shapes[key][0]

    def _statistic(self, key: str, name: str) -> Tensor:
        found = self.statistics.get(f"{key}.{name}")
        wanted = self._size(key)
        if found is None:
            raise UserError(f"the checkpoint's normaliser has no statistic '{key}.{name}'.")
        if found.numel() != wanted:
            raise UserError(f"the statistic '{key}.{name}' has {found.numel()} values; the feature has {wanted}.")
        return found.double().flatten()


def read(folder: Path) -> Source:
    """Read a checkpoint.

    Raises:
        UserError: a file is missing or damaged.
        ConfigError: a feature or a step of its processing that ours does not have.
    """
    config = read_config(folder)
    shapes, unread = _features(config)
    state, options = _normalizer(folder)
    if chosen := options.get("normalize_observation_keys"):
        raise ConfigError(f"{BEFORE}: normalize_observation_keys={chosen!r} can't be imported; all keys can.")
    return Source(
        folder=folder,
        config=config,
        shapes=shapes,
        unread=unread,
        modes=options.get("norm_map", config.get("normalization_mapping", {})),
        statistics=_tensors(folder / state),
        eps=options.get("eps", 1e-8),
        weights=_tensors(folder / WEIGHTS),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a LeRobot checkpoint, which names the `type` of its policy."""
    config = _json(folder / CONFIG)
    if not isinstance(config.get("type"), str):
        raise ConfigError(f"{folder / CONFIG} names no 'type' of policy; give the folder of a LeRobot 0.4 checkpoint.")
    return config


def renamed(weights: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """The same tensors with each of the rules (pattern, replacement) applied to their names, one after the other."""
    out = {}
    for name, tensor in weights.items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        out[name] = tensor
    return out


def _features(config: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """Shapes of what the network reads and makes, and the keys of the rest; see `Source`."""
    try:
        both = {**config["input_features"], **config["output_features"]}
        given = {key: (str(f["type"]), tuple(map(int, f["shape"]))) for key, f in both.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{CONFIG} does not describe its features as LeRobot does: {error}.") from None
    vectors: dict[str, tuple[int, ...]] = {}
    images: dict[str, tuple[int, ...]] = {}
    unread = []
    for key, (kind, shape) in given.items():
        if VECTORS.get(key) == kind and len(shape) == 1:
            vectors[key] = shape
        elif kind == "VISUAL" and len(shape) == 3 and is_image((*shape[1:], shape[0])):
            images[key] = (*shape[1:], shape[0])
        elif kind == "STATE" and key != STATE:
            unread.append(key)
        else:
            raise ConfigError(
                f"{CONFIG}: the feature '{key}' ({kind}, {shape}) can't be imported; the vectors {', '.join(VECTORS)} "
                f"and images (3, H, W) of at least {IMAGE_PX_MIN} pixels can."
            )
    for key in (STATE, ACTION):
        if key not in vectors:
            raise ConfigError(f"{CONFIG} has no feature '{key}'; policies without it can't be imported.")
    order = {key: vectors[key] for key in (STATE, ENVIRONMENT) if key in vectors}
    return order | images | {ACTION: vectors[ACTION]}, tuple(unread)


def _normalizer(folder: Path) -> tuple[str, dict[str, Any]]:
    """Name of the file of its statistics, and its options; ConfigError where a checkpoint processes more than that."""
    found = None
    for name in (BEFORE, AFTER):
        try:
            for step in _json(folder / name)["steps"]:
                kind = step.get("registry_name") or step.get("class")
                if kind not in STEPS:
                    raise ConfigError(f"{name}: the step '{kind}' can't be imported; {', '.join(STEPS)} can.")
                if kind == NORMALIZER:
                    found = str(step["state_file"]), dict(step["config"])
        except (KeyError, TypeError, AttributeError, ValueError):
            raise UserError(f"{folder / name} does not list the steps of a LeRobot pipeline; copy it again.") from None
    if found is None:
        raise UserError(f"{folder / BEFORE} has no {NORMALIZER}.")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"can't read {path}: {error.strerror}; give the folder of a LeRobot 0.4 checkpoint (an older one is "
            "brought up to it by python -m lerobot.processor.migrate_policy_normalization)."
        ) from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object.")
    return content


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}.") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}.") from None
