"""A checkpoint of LeRobot as one of ours: read, named anew on our own networks, written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from robot_learning.data.importers import plain_contract, require_rate, stream_name
from robot_learning.data.lerobot_layout import short_name
from robot_learning.errors import UserError, unknown_name
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.lerobot import act, diffusion
from robot_learning.policies.lerobot.reading import ACTION, Source, read, read_config
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


@dataclass(frozen=True)
class Form:
    """How one type of LeRobot's policies becomes one of ours.

    Attributes:
        policy: our name.
        configure: its configuration, in the JSON form.
        weights: by our names, given the name of each key.
        notes: what else there is to tell.
    """

    policy: str
    configure: Callable[[Source], dict[str, Any]]
    weights: Callable[[Source, Mapping[str, str]], dict[str, Tensor]]
    notes: Callable[[Source], list[str]]


FORMS = {
    "act": Form("act", act.configure, act.weights, act.notes),
    "diffusion": Form("diffusion_unet", diffusion.configure, diffusion.weights, diffusion.notes),
}


@dataclass(frozen=True)
class Imported:
    """Where the checkpoint is, and what to know of it."""

    path: Path
    notes: tuple[str, ...]


def import_checkpoint(source: str | Path, output: str | Path, rate_hz: float, robot: str = "") -> Imported:
    """Write a LeRobot checkpoint (a folder) as one of ours.

    Its features are called as those of an imported LeRobot dataset, vectors have the unit "1": a LeRobot checkpoint
    says neither units nor rate.

    Args:
        output: must not exist yet.
        rate_hz: of the dataset that it was trained on, in steps per second.
        robot: the kind of robot; a rig that serves the policy must have the same.

    Raises:
        UnknownName: a type of policy other than those of `FORMS`.
        UserError: something is missing or damaged, or `output` exists.
        ConfigError: an option that our network does not have, by its key.
    """
    folder = Path(source)
    kind = read_config(folder)["type"]
    if kind not in FORMS:
        raise unknown_name("type of LeRobot policy", kind, FORMS)
    form, theirs = FORMS[kind], read(folder)
    config = registry.parse_config(form.policy, form.configure(theirs))
    names = {key: key if key == ACTION else stream_name(short_name(key)) for key in theirs.shapes}
    if len(set(names.values())) < len(names):
        raise UserError(f"config.json: two features would get the same name; rename one: {', '.join(names)}.")
    kinds = {names[k]: (shape, "uint8" if k in theirs.cameras else "float32") for k, shape in theirs.shapes.items()}
    contract, _ = plain_contract("lerobot", robot or folder.name, require_rate(rate_hz, str(folder)), kinds)
    affine = {names[key]: theirs.affine(key) for key in names if key not in theirs.cameras}
    methods, scale, offset = ({name: entry[i] for name, entry in affine.items()} for i in range(3))
    normalizer = Normalizer(methods, scale, offset)  # type: ignore[arg-type]
    observations = tuple(name for key, name in names.items() if key != ACTION)
    policy = registry.make(config, contract, View(observations, (ACTION,), config.spec), normalizer)
    try:
        policy.load_state_dict(form.weights(theirs, names))
    except (RuntimeError, IndexError) as error:
        raise UserError(f"{folder}: the weights don't fit config.json: {' '.join(str(error).split())[:300]}") from None
    record = {"imported_from": "lerobot", "config": dict(theirs.config)}
    path = checkpoint.save(output, policy.eval(), snapshot="", training=record)
    return Imported(path, (*_notes(theirs), *form.notes(theirs)))


def _notes(source: Source) -> list[str]:
    notes = ["units are not known of LeRobot's features: the contract says '1' for each vector"]
    if source.unread:
        notes.append(f"left out, for LeRobot's network does not read them: {', '.join(source.unread)}")
    return notes
