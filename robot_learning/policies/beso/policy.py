"""BESO: goal-conditioned imitation learning using score-based diffusion policies (Reuss et al., arXiv 2304.02532).

Symbols of the paper: sigma the noise level, D_theta(a, s, g, sigma) the denoiser, whose score is (D - a) / sigma^2;
F_theta the network inside of it, lambda the guidance.

What differs from the published code, and why:
- All actions of a window are denoised together, as they are in training. The published rollout instead feeds back
  its own last To - 1 actions, without noise, at every noise level, which training never shows. `predict` needs no
  memory this way: a chunk depends on what is given to it only.
- Goals are hidden sample by sample (`goal_dropout_per`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, UserError, unknown_name
from robot_learning.policies import noise
from robot_learning.policies.base import Batch, Generators, Policy
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.beso.density import TruncatedLogLogistic
from robot_learning.policies.beso.preconditioning import Preconditioning
from robot_learning.policies.beso.samplers import SAMPLERS
from robot_learning.policies.beso.schedules import sigmas
from robot_learning.policies.beso.transformer import ScoreTransformer
from robot_learning.policies.encoders import ObservationEncoder
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.relative import ActionVector
from robot_learning.policies.view import View


class BesoPolicy(Policy):
    """Denoises actions, given states and maybe a goal."""

    config: BesoConfig
    observe_goal: nn.Module

    def __init__(self, config: BesoConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__(config, contract, view, normalizer)
        if config.goal and set(view.goals) != set(view.observations):
            raise ConfigError(
                "goals are later observations, of the same features; got goals of "
                f"{sorted(view.goals)} and observations of {sorted(view.observations)}."
            )
        self.takes_goal = config.goal > 0
        self.observe = ObservationEncoder(contract, view, normalizer, config.vision)
        # The same encoder, for windows of another length: a back end may put its own in the place of each.
        object.__setattr__(self, "observe_goal", self.observe)
        self.act = ActionVector(contract, view, normalizer, config.relative)
        self.denoiser = ScoreTransformer(self.act.dim, self.observe.dim, config)
        self.precondition = Preconditioning(config.sigma_data)
        loc = math.log(config.sigma_data if config.sigma_loc is None else config.sigma_loc)
        self.density = TruncatedLogLogistic(loc, config.sigma_scale, config.sigma_min, config.sigma_max)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Score matching (sec. III-B), one sigma per window: MSE of F(c_in (a + sigma epsilon)).

        Over the whole window: what reaches beyond an episode's ends counts too, as in Diffusion Policy.
        """
        c = self.precondition
        O = self.observe(batch["observation"])  # noqa: E741
        G = self._learned_goal(batch) if self.takes_goal else None
        A = self.act.encode(batch["action"], batch["observation"])
        sigma = self.density.sample((len(A), 1, 1), A.device).to(A.dtype)
        noisy = A + sigma * noise.normal_like(A)
        F = self.denoiser(c.c_in(sigma) * noisy, c.c_noise(sigma).flatten(), O, G)
        return nn.functional.mse_loss(F, c.target(A, noisy, sigma)), {}

    def _learned_goal(self, batch: Batch) -> Tensor:
        """(B, G, Do) goals; zeros where the episode had none left, and where goal dropout hides one."""
        G = self.observe_goal(batch["goal"])
        there = batch["goal_mask"][:, None, None]
        shape = G.shape if self.config.goal_dropout_per == "element" else (len(G), 1, 1)
        return G * (there & (noise.uniform(shape, G.device) >= self.config.goal_dropout))

    def denoise(self, a: Tensor, sigma: float, O: Tensor, G: Tensor | None = None) -> Tensor:  # noqa: E741
        """D_theta(a, s, g, sigma), (B, Tp, D), without guidance (EDM eq. 7)."""
        c, level = self.precondition, a.new_full((len(a), 1, 1), sigma)
        F = self.denoiser(c.c_in(level) * a, c.c_noise(level).flatten(), O, *(() if G is None else (G,)))
        return c.c_skip(level) * a + c.c_out(level) * F

    def guided(self, a: Tensor, sigma: float, O: Tensor, G: Tensor | None) -> Tensor:  # noqa: E741
        """D_uncond + lambda (D_cond - D_uncond), where uncond has the zero goal (sec. IV-C).

        Args:
            G: (B, G, Do) encoded goals; None: no goal, which for a policy that takes one is the zero goal.
        """
        if not self.takes_goal:
            return self.denoise(a, sigma, O)
        guidance = 0.0 if G is None else self.config.guidance
        if guidance == 1:
            return self.denoise(a, sigma, O, G)
        without = self.denoise(a, sigma, O, O.new_zeros(len(O), self.config.goal, O.shape[-1]))
        if G is None or guidance == 0:
            return without
        return without + guidance * (self.denoise(a, sigma, O, G) - without)

    @torch.inference_mode()
    def predict(
        self,
        observation: Mapping[str, Tensor],
        generator: Generators = None,
        prefix: Tensor | None = None,
        goal: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """From N(0, sigma_max^2 I) along the noise schedule to zero.

        Without a goal, a policy that takes one acts as training showed with hidden goals: anything that was done here.
        """
        self.refuse_goal(goal)
        config = self.config
        O = self.observe(observation)  # noqa: E741
        if prefix is not None:
            self.committed(prefix, len(O), self.act.raw_dim)  # says that it can't be done
        G = None if goal is None else self.observe_goal(goal)
        shape = (len(O), config.Tp, self.act.dim)

        def normal() -> Tensor:
            return randn_tensor(shape, generator=generator, device=O.device, dtype=O.dtype)

        levels = sigmas(config.schedule, config.inference_steps, config.sigma_min, config.sigma_max, config.rho)
        A = SAMPLERS[config.sampler](lambda a, s: self.guided(a, s, O, G), levels[0] * normal(), levels, normal)
        if self.act.is_bounded:
            A = A.clamp(-1, 1)  # values outside the data's range can't be right, if it is [-1, 1]
        return self.act.decode(A, observation)

    def with_sampler(self, sampler: str | None = None, steps: int | None = None, **changes: Any) -> Self:
        """A policy on the same weights that samples otherwise: no new training is needed for that.

        Args:
            sampler, steps: as `sampler` and `inference_steps` in the configuration; None: as now.
            changes: likewise, `schedule`, `rho` or `guidance`.

        Raises:
            UnknownName: no such sampler, schedule or field.
            ConfigError: a value that the configuration does not allow.
        """
        for name in changes:
            if name not in (allowed := ("schedule", "rho", "guidance")):
                raise unknown_name("field of sampling", name, allowed)
        changes |= {} if sampler is None else {"sampler": sampler}
        changes |= {} if steps is None else {"inference_steps": steps}
        other = copy.copy(self)
        other.config = replace(self.config, **changes)
        return other

    def refuse_goal(self, goal: Mapping[str, Tensor] | None) -> None:
        """Raise UserError where the goal is not of the shape that this policy was trained on."""
        if goal is None:
            return
        if not self.takes_goal:
            raise UserError("this policy was trained without goals; leave the goal out, or train with config.goal = 1.")
        for name in self.view.goals:
            if name not in goal:
                raise unknown_name("goal feature: the policy needs", name, goal)
            if goal[name].ndim < 2 or goal[name].shape[1] != self.config.goal:
                raise UserError(
                    f"goal '{name}' must be (B, {self.config.goal}, ...), so many observations to reach; "
                    f"got {tuple(goal[name].shape)}."
                )

    def networks(self, observation: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
        """Observation encoder and score network; the latter is asked once or twice per step, goal by goal."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            O = self.observe(observation)  # noqa: E741
        self.train(was_training)
        A = O.new_zeros(len(O), self.config.Tp, self.act.dim)
        if not self.takes_goal:
            return {"observe": (dict(observation),), "denoiser": (A, O.new_zeros(len(O)), O)}
        G = O.new_zeros(len(O), self.config.goal, O.shape[-1])
        first = {name: observation[name][:, :1] for name in self.view.goals}
        like = {name: x.expand(-1, self.config.goal, *x.shape[2:]).contiguous() for name, x in first.items()}
        return {"observe": (dict(observation),), "observe_goal": (like,), "denoiser": (A, O.new_zeros(len(O)), O, G)}

    def parameter_groups(self, weight_decay: float, encoder_weight_decay: float) -> list[dict[str, Any]]:
        """Score network and observation encoder apart; positions, norms and biases are not decayed."""
        groups = []
        for module, decay in ((self.denoiser, weight_decay), (self.observe, encoder_weight_decay)):
            parameters = list(module.parameters())
            matrices = [p for p in parameters if p.ndim > 1 and p is not self.denoiser.position]
            rest = [p for p in parameters if p.ndim <= 1 or p is self.denoiser.position]
            groups += [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]
