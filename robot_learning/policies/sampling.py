"""How to draw chunks otherwise than a checkpoint says, without new training: options of `evaluate` and `serve`.

Free of torch, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from robot_learning.errors import ConfigError
from robot_learning.policies.config import PolicyConfig

if TYPE_CHECKING:
    from robot_learning.policies.base import Policy

# Heun's correction divides by the noise that a step ends with. Measured at sigma_max = 20: 3 steps reach no goal,
# 5 steps an eighth of them, 10 as many as DDIM.
HEUN_STEPS, HEUN_SIGMA_MAX = 10, 10.0


@dataclass(frozen=True)
class Sampling:
    """Changes to a diffusion, flow or BESO policy; what is not given stays as in its checkpoint.

    Attributes:
        sampler: Draw chunks by this one: ddpm, ddim or dpm++ (diffusion), or one of BESO's, such as heun.
        inference_steps: In so many steps.
        schedule: Of the noise levels, BESO only: karras, exponential, linear, vp, ve or cosine.
        guidance: Towards a goal, BESO only; it changes chunks that are given one.
    """

    sampler: str | None = None
    inference_steps: int | None = None
    schedule: str | None = None
    guidance: float | None = None

    def changes(self) -> dict[str, Any]:
        """What was given, by its name in a policy's configuration."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def applied(self, config: PolicyConfig) -> PolicyConfig:
        """The configuration with these changes.

        Raises:
            ConfigError: the policy has no such thing to change, or the value is not allowed.
            UnknownName: no such sampler or schedule.
        """
        changes = self.changes()
        can = [_option(f.name) for f in fields(self) if hasattr(config, f.name)]
        for name in changes:
            if not hasattr(config, name):
                instead = f"it can change {', '.join(can)}" if can else "it makes a chunk in one pass, leave it out"
                raise ConfigError(f"policy '{config.policy}' has no {_option(name)}: {instead}.")
        if self.guidance is not None and not getattr(config, "goal", 0):
            raise ConfigError("--guidance is towards a goal, and this policy was trained without; leave it out.")
        return replace(config, **changes)

    def of(self, policy: Policy) -> Policy:
        """The policy on the same weights that samples so; itself where nothing is to change. Raises as `applied`."""
        changes = self.changes()
        if not changes:
            return policy
        self.applied(policy.config)
        sampler, steps = changes.pop("sampler", None), changes.pop("inference_steps", None)
        return policy.with_sampler(sampler, steps, **changes)  # type: ignore[operator]

    def used(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """How a policy of this configuration, as in its checkpoint's JSON, samples with these changes."""
        return {f.name: config[f.name] for f in fields(self) if f.name in config} | self.changes()

    def caution(self, config: Mapping[str, Any]) -> str:
        """What a user should hear before a policy of this configuration samples so; empty: nothing."""
        used = self.used(config)
        steps, sigma_max = used.get("inference_steps", 1), config.get("sigma_max", 0)
        if used.get("sampler") == "heun" and 1 < steps < HEUN_STEPS and sigma_max >= HEUN_SIGMA_MAX:
            return (
                f"heun in {steps} steps from a noise of {sigma_max:g} failed where other samplers did well "
                f"(docs/results.md, play); take {HEUN_STEPS} steps or more, or --sampler ddim"
            )
        return ""


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
