"""How well a frozen representation predicts the robot's future state, by a linear map, beside what the input tells.

A ridge regression goes from each of the inputs below, at one window, to the normalised state h = 1, 2, ... steps after
it. It is fitted to windows of the episodes that the policy was trained on, and judged on held-out ones.

| input                   | what it is                                                                 |
|-------------------------|----------------------------------------------------------------------------|
| `context`, `predictor`  | the policy's representations; of `predictor`, for h, the latent of step h |
| `untrained context` ... | the same of fresh weights: what the architecture gives without learning    |
| `observation`           | the normalised state itself, and images as 8 x 8 colours                   |
| `stays as it is`        | no map: the present state as the prediction                                |

R^2 = 1 - |error|^2 / |error of always saying the training windows' mean|^2, over all dimensions of a feature: 1 is
perfect, 0 as good as not looking, below 0 worse than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from robot_learning.errors import ConfigError, StoreError, UserError
from robot_learning.evaluation.probe_windows import OBSERVATION, Sample, choose_episodes, sample, state_features
from robot_learning.evaluation.ridge import fit_best

if TYPE_CHECKING:
    from robot_learning.policies.base import Policy

STAYS, UNTRAINED = "stays as it is", "untrained"
APART = 0.2  # of the training episodes: those that choose the ridge's strength
COLLAPSED_RANK, COLLAPSED_SPREAD = 1.5, 1e-3


@dataclass(frozen=True)
class ProbeConfig:
    """Report how well a policy's representation predicts the future state: ACT-JEPA's and ACT's.

    Attributes:
        checkpoint: A checkpoint's folder, or the output of robot-learning train (its newest checkpoint).
        store: The store of demonstrations [default: the one that it was trained on].
        episodes: Ids of the episodes to use [default: those of its run; where the store lacks them, all].
        steps: How many steps ahead [default: as many as it predicts].
        max_train_windows: At most so many windows to fit to, drawn at random.
        max_val_windows: At most so many windows to judge on.
        cache: Folder of derived training caches [default: in the store].
        output: Folder for probe.json, probe.html and probe.svg.
        seed: Of the choice of windows.
        device: Where the policy runs.
    """

    checkpoint: Path
    store: Path | None = None
    episodes: tuple[str, ...] = ()
    steps: int | None = None
    max_train_windows: int = 4096
    max_val_windows: int = 2048
    cache: Path | None = None
    output: Path = Path("outputs/probe")
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("max_train_windows", 10), ("max_val_windows", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least {least}; got {value}.")


def predictions(train: Sample, val: Sample, name: str) -> np.ndarray:
    """(N, F, D) states that the ridge on the input `name` predicts; NaN for steps that too few windows reach."""
    if name == STAYS:
        return np.repeat(val.present[:, None], val.future.shape[1], axis=1)
    X, Z = train.inputs[name], val.inputs[name]
    out = np.full(val.future.shape, np.nan)
    apart = _apart(train.episode)
    for h in range(out.shape[1]):
        real, t = train.real[:, h], min(h, X.shape[1] - 1)
        if (real & apart).any() and (real & ~apart).sum() > 1:
            out[:, h] = fit_best(X[real, t], train.future[real, h], apart[real])(Z[:, t])
    return out


def scores(predicted: np.ndarray, train: Sample, val: Sample, features: Mapping[str, slice]) -> dict[str, Any]:
    """R^2 and root mean squared error (normalised units), of all and by feature: a list by step, and the mean.

    Sums of squares are over windows and dimensions; None where a step is not reached, or nothing changes.
    """
    squared, spread, count = (np.zeros(val.future.shape[1:]) for _ in range(3))
    for h in range(len(squared)):
        to_fit, real = train.real[:, h], val.real[:, h]
        if to_fit.any():
            squared[h] = np.square(predicted[real, h] - val.future[real, h]).sum(0)
            spread[h] = np.square(train.future[to_fit, h].mean(0) - val.future[real, h]).sum(0)
            count[h] = real.sum()
    found = {}
    for name, part in {"all": slice(None), **features}.items():
        error, total, n = (x[:, part].sum(1) for x in (squared, spread, count))
        known = (n > 0) & np.isfinite(error)
        says = known & (total > 1e-12 * np.maximum(n, 1))
        r2 = [float(1 - e / s) if ok else None for e, s, ok in zip(error, total, says, strict=True)]
        rmse = [float(np.sqrt(e / c)) if ok else None for e, c, ok in zip(error, n, known, strict=True)]
        found[name] = {"r2": r2, "r2_mean": _mean(r2), "rmse": rmse, "rmse_mean": _mean(rmse)}
    return {**found.pop("all"), "features": found}


def collapse(representation: np.ndarray) -> dict[str, Any]:
    """Figures of (N, T, d): spread over the windows, effective rank of the first step's, and a verdict."""
    import torch

    from robot_learning.policies.act_jepa.collapse import effective_rank, spread

    latents = torch.from_numpy(representation)
    deviation, rank = float(spread(latents)), float(effective_rank(latents[:, 0]))
    collapsed = deviation < COLLAPSED_SPREAD or rank < COLLAPSED_RANK
    return {"spread": deviation, "effective_rank": rank, "dim": latents.shape[-1], "collapsed": collapsed}


def compare(train: Sample, val: Sample, features: Mapping[str, slice]) -> dict[str, Any]:
    """Scores of every input, and whether representations collapsed."""
    names = [*train.inputs, STAYS]
    figures = {name: scores(predictions(train, val, name), train, val, features) for name in names}
    represented = [n for n in train.inputs if n != OBSERVATION]
    return {"inputs": figures, "collapse": {name: collapse(val.inputs[name]) for name in represented}}


def probe(config: ProbeConfig) -> dict[str, Any]:
    """Run it, write `probe.json`, `probe.html` and `probe.svg`, and return the report.

    Raises:
        UserError: a checkpoint or store that can't be used, or a policy that has no representation to show.
    """
    import torch

    from robot_learning.data.cache import TrainingCache
    from robot_learning.data.store import Store
    from robot_learning.evaluation.probe_report import write_report
    from robot_learning.output import prepare_folder
    from robot_learning.policies import checkpoint, registry
    from robot_learning.training.dataset import family

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device for --device cuda; choose --device cpu.")
    folder = checkpoint.find(config.checkpoint)
    record = checkpoint.describe(folder)
    policy = checkpoint.load(folder, device=config.device)
    horizon = _horizon(policy, config.steps)
    path = _store(record, config)
    store = Store.open(path)
    train_ids, val_ids, told = choose_episodes(
        {e.id: family(e) for e in store.episodes()}, record["training"], config.episodes, config.seed
    )
    theirs = store.episode(train_ids[0]).contract
    view = policy.view
    policy.contract.require_match(theirs, f"the checkpoint {folder}", f"the store {path}", view.features)
    prepare_folder(config.output)

    seed = int(record["training"].get("run", {}).get("seed", 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = registry.make(policy.config, policy.contract, policy.view, policy.normalizer)
    policies = {"": policy, f"{UNTRAINED} ": fresh.to(config.device).eval()}
    cache = TrainingCache.build(store, view.features, view.image_size, config.cache, [*train_ids, *val_ids])
    train = sample(policies, cache, train_ids, horizon, config.max_train_windows, config.seed)
    val = sample(policies, cache, val_ids, horizon, config.max_val_windows, config.seed + 1)
    if len(set(train.episode.tolist())) < 2:
        raise StoreError("the probe needs windows of two training episodes or more; collect or name more episodes.")
    report = {
        "format": 1,
        "checkpoint": str(folder),
        "policy": record["policy"],
        "store": str(path),
        "split": told,
        "train": {"episodes": list(train_ids), "windows": len(train.episode)},
        "val": {"episodes": list(val_ids), "windows": len(val.episode)},
        "rate_hz": policy.contract.policy_rate_hz,
        "steps": horizon,
        "untrained_seed": seed,
        **compare(train, val, state_features(policy)),
    }
    return write_report(config.output, report)


def _apart(episode: np.ndarray) -> np.ndarray:
    """(N,) bool: the windows of the last fifth of the episodes, at least of one."""
    there = np.unique(episode)
    return np.isin(episode, there[-max(1, round(APART * len(there))) :])


def _horizon(policy: Policy, steps: int | None) -> int:
    if not hasattr(policy, "representations"):
        raise UserError(
            f"policy '{policy.config.policy}' has no representation to probe; give a checkpoint of act_jepa or act."
        )
    most = policy.spec.future or policy.spec.Tp
    if steps is not None and steps > most:
        raise ConfigError(f"this policy looks {most} steps ahead at most; got --steps {steps}.")
    return steps or most


def _store(record: Mapping[str, Any], config: ProbeConfig) -> Path:
    path = config.store or record["training"].get("run", {}).get("store")
    if path is None:
        raise ConfigError("the checkpoint does not say which store it was trained on; give one with --store.")
    return Path(path)


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
