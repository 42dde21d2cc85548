"""What a policy reads of a contract: which features, on which window, images at which size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from robot_learning.contract import Contract
from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class View:
    """A policy's window on the data; stored in its checkpoint, the same in training and in use.

    Attributes:
        observations, actions: feature names, in the order of the network's input and output.
        spec: the window.
        image_size: (H, W) [px] that all images are resized to; None keeps the recorded size.
        futures, goals: the features of the window's future and goal, where the spec has them.
    """

    observations: tuple[str, ...]
    actions: tuple[str, ...]
    spec: WindowSpec
    image_size: tuple[int, int] | None = None
    futures: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.observations, *self.actions, *self.futures, *self.goals)))

    def images(self, contract: Contract) -> tuple[str, ...]:
        """Those features that are colour images."""
        return tuple(name for name in self.features if contract.spec_of(name).is_image)

    def vectors(self, contract: Contract) -> tuple[str, ...]:
        """All features, observations and actions, that are not images."""
        images = self.images(contract)
        return tuple(name for name in self.features if name not in images)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> View:
        """The inverse of `to_json`."""
        size = content["image_size"]
        return View(
            tuple(content["observations"]),
            tuple(content["actions"]),
            WindowSpec(**content["spec"]),
            tuple(size) if size else None,
            tuple(content.get("futures", ())),  # checkpoints of earlier versions have none
            tuple(content.get("goals", ())),
        )


def choose_observations(contract: Contract, names: Sequence[str] | None, images: bool) -> tuple[str, ...]:
    """The observation features to train on: those named, or a default.

    Default for policies from images: colour images and what the robot itself measures, not what only
    a simulator knows (`privileged`). Default for policies from state: every vector.

    Raises:
        UnknownName: a name is not an observation of the contract.
        ConfigError: no feature is left, or one of a kind that policies can't read.
    """
    allowed = {f.name: contract.spec_of(f.name).unit for f in contract.observations}
    for name in names or ():
        if name not in allowed:
            raise unknown_name("observation feature", name, allowed)
        if allowed[name] == "depth_mm":
            raise ConfigError(f"feature '{name}' is a depth image, which these policies can't read; leave it out.")
        if allowed[name] == "rgb" and not images:
            raise ConfigError(f"feature '{name}' is an image; choose an image policy such as diffusion_unet_image.")
    if names:
        return tuple(dict.fromkeys(names))
    chosen = [
        f.name
        for f in contract.observations
        if allowed[f.name] != "depth_mm" and (not f.privileged if images else allowed[f.name] != "rgb")
    ]
    if not chosen or (images and "rgb" not in (allowed[name] for name in chosen)):
        kind = "colour image" if images else "vector"
        raise ConfigError(f"the contract of '{contract.rig}' has no {kind} to observe; it has {sorted(allowed)}.")
    return tuple(chosen)
