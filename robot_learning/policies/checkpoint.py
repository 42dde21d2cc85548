"""A trained policy on disk: `model.safetensors`, `checkpoint.json` and a model card; nothing executable.

`checkpoint.json` names the policy, its configuration, contract, view and normaliser, the snapshot of the data
that it saw, and the code that made it. A directory appears whole or not at all, and is never changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError

import robot_learning
from robot_learning.contract import Contract
from robot_learning.errors import StoreError, UserError
from robot_learning.policies import registry
from robot_learning.policies.atomic import atomic_directory
from robot_learning.policies.base import Policy
from robot_learning.policies.model_card import model_card
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

FORMAT = 1
WEIGHTS, RECORD, CARD = "model.safetensors", "checkpoint.json", "README.md"


def save(directory: str | Path, policy: Policy, snapshot: str, training: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint.

    Args:
        directory: must not exist yet.
        snapshot: hash of the data that the policy was trained on.
        training: what else to remember, JSON-ready: step, losses, preset.

    Raises:
        UserError: the directory exists, or the disk is full or can't be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    record: dict[str, Any] = {
        "format": FORMAT,
        "policy": policy.config.policy,
        "config": asdict(policy.config),
        "contract": policy.contract.to_json(),
        "view": policy.view.to_json(),
        "normalizer": policy.normalizer.to_json(),
        "snapshot": snapshot,
        "training": dict(training or {}),
        "versions": versions(),
    }
    with atomic_directory(Path(directory)) as partial:
        safetensors.torch.save_file(weights, partial / WEIGHTS)
        record["weights_sha256"] = _sha256(partial / WEIGHTS)
        (partial / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (partial / CARD).write_text(model_card(policy, snapshot, record["training"]), encoding="utf-8")
    return Path(directory)


def find(path: str | Path) -> Path:
    """The checkpoint directory meant by `path`: itself, or the newest of a training output.

    Raises:
        StoreError: there is none.
    """
    path = Path(path)
    if (path / RECORD).is_file() or (path / WEIGHTS).is_file():
        return path
    candidates = sorted(p.parent for p in path.glob(f"checkpoints/[0-9]*/{RECORD}"))
    if candidates:
        return candidates[-1]
    if not path.exists():
        raise StoreError(f"there is no checkpoint {path}; give a checkpoint or the output of robot-learning train.")
    raise StoreError(f"{path} holds no checkpoint ({RECORD} is missing, there and under checkpoints/).")


def describe(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint's `checkpoint.json`.

    Raises:
        StoreError: no checkpoint, not readable, or of another format version.
    """
    directory = find(path)
    try:
        record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        version = record["format"]
    except FileNotFoundError:
        raise StoreError(f"the checkpoint {directory} is incomplete: {RECORD} is missing.") from None
    except OSError as error:
        raise StoreError(f"can't read {directory / RECORD}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{directory / RECORD} is damaged: it is not a checkpoint's JSON.") from None
    if version != FORMAT:
        raise StoreError(
            f"the checkpoint {directory} has format {version}, this version of robot_learning reads {FORMAT}; "
            f"use the version that made it ({record.get('versions', {}).get('robot_learning', 'unknown')})."
        )
    return record


def load(
    path: str | Path,
    contract: Contract | None = None,
    theirs: str = "the rig",
    device: str | torch.device = "cpu",
) -> Policy:
    """The policy of a checkpoint, ready to predict.

    Args:
        path: a checkpoint directory, or a training output (its newest checkpoint).
        contract: where the policy is to be used; it must serve all features that the policy reads and predicts.
        theirs: what to call that side in the message.

    Raises:
        ContractMismatch: the contracts differ in what the policy needs; both sides are named.
        UnknownName: a policy that this version does not have.
        StoreError: missing, damaged or of another version.
    """
    directory = find(path)
    record = describe(directory)
    try:
        own = Contract.model_validate(record["contract"])
        view = View.from_json(record["view"])
        if contract is not None:
            own.require_match(contract, f"the checkpoint {directory}", theirs, (*view.observations, *view.actions))
        config = registry.parse_config(record["policy"], record["config"])
        policy = registry.make(config, own, view, Normalizer.from_json(record["normalizer"]))
        expected = record["weights_sha256"]
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise StoreError(f"{directory / RECORD} is damaged: {_one_line(error)}.") from None
    policy.load_state_dict(_read_weights(directory / WEIGHTS, expected, policy.state_dict()))
    return policy.to(device).eval()


def _read_weights(path: Path, expected_sha256: str, like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    try:
        found_sha256 = _sha256(path)
    except OSError as error:
        raise StoreError(
            f"the checkpoint {path.parent} is incomplete: can't read {path.name}: {error.strerror}."
        ) from None
    if found_sha256 != expected_sha256:
        raise StoreError(f"{path} is truncated or damaged: its checksum is not the one in {RECORD}; copy it again.")
    try:
        weights = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise StoreError(f"{path} is damaged: {_one_line(error)}.") from None
    found, wanted = ({(name, tuple(t.shape)) for name, t in tensors.items()} for tensors in (weights, like))
    if found != wanted:
        name, shape = min(found ^ wanted)
        raise StoreError(f"{path} does not fit the configuration in {RECORD}: '{name}' {shape} is only in one of them.")
    return weights


def versions() -> dict[str, str]:
    """This code's version and git commit, and those of the libraries that decide the numbers."""
    found = {"robot_learning": robot_learning.__version__}
    for package in ("torch", "diffusers", "timm", "numpy"):
        found[package] = importlib.metadata.version(package)
    here = Path(robot_learning.__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(git, capture_output=True, text=True, timeout=5, check=True)
        found["git"] = answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass  # installed without its repository
    return found


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
