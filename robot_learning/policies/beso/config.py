"""Configuration of BESO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.config import PolicyConfig, VisionConfig
from robot_learning.policies.initialize import Init

Schedule = Literal["karras", "exponential", "linear", "vp", "ve", "cosine"]
Sampler = Literal[
    "ddim",
    "euler",
    "euler_ancestral",
    "heun",
    "dpm_2",
    "dpm_2_ancestral",
    "dpm++_2s",
    "dpm++_2s_ancestral",
    "dpm++_2m",
    "dpm++_2m_sde",
    "lms",
]


@dataclass(frozen=True, kw_only=True)
class BesoConfig(PolicyConfig):
    """Score-based diffusion of actions, towards a goal or without one.

    Tp = To and Ta = 1 is the paper's policy, which acts on the newest action of its window only; with Tp > To the
    actions beyond the newest observation make a chunk.

    Attributes:
        goal: observations that describe a goal, one token each; 0: a policy without goals.
        goal_within: how many steps after its window a goal begins at most, in training; None: until the episode's end.
        goal_dropout: probability p with which training hides a goal, for classifier-free guidance.
        goal_dropout_per: `sample` hides whole goals; `element` each value of a goal by itself, which is what the
            paper's released code does: it never shows a policy what acting without a goal is.
        guidance: lambda of D = D_uncond + lambda (D_cond - D_uncond); 1: conditional, 0: the goal is not heeded.
        sigma_data: standard deviation of normalised actions that the preconditioning assumes.
        sigma_min, sigma_max: the noise levels of training and sampling.
        sigma_loc: median of the noise in training, before truncation; None: sigma_data.
        sigma_scale: scale of its logarithm.
        sampler: one of `beso.samplers`.
        schedule: one of `beso.schedules`, the noise levels that the sampler stops at.
        rho: the curvature of the `karras` schedule.
        inference_steps: noise levels from sigma_max to sigma_min, and as many steps: the last one goes to zero.
        layers, heads, dim: of the transformer.
        attention_dropout, residual_dropout: inside its layers.
        init: of its weights, see `policies.initialize`; `gpt2` is what was published.
        vision: the image encoder.
    """

    policy: ClassVar[str] = "beso"

    goal: int = 0
    goal_within: int | None = None
    goal_dropout: float = 0.1
    goal_dropout_per: Literal["sample", "element"] = "sample"
    guidance: float = 1.0
    sigma_data: float = 0.5
    sigma_min: float = 0.005
    sigma_max: float = 1.0
    sigma_loc: float | None = None
    sigma_scale: float = 0.5
    sampler: Sampler = "ddim"
    schedule: Schedule = "linear"
    rho: float = 5.0
    inference_steps: int = 3
    layers: int = 6
    heads: int = 6
    dim: int = 360
    attention_dropout: float = 0.3
    residual_dropout: float = 0.0
    init: Init = "gpt2"
    vision: VisionConfig = field(default_factory=VisionConfig)

    @property
    def spec(self) -> WindowSpec:
        """The window: actions from the oldest observation on, and a goal after its end."""
        return WindowSpec(self.To, self.Tp, goal=self.goal, goal_within=self.goal_within, pad_after=self.pad_after)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampler not in get_args(Sampler):
            raise unknown_name("sampler", self.sampler, get_args(Sampler))
        if self.schedule not in get_args(Schedule):
            raise unknown_name("noise schedule", self.schedule, get_args(Schedule))
        if not 0 < self.sigma_min < self.sigma_max or min(self.sigma_data, self.sigma_scale, self.rho) <= 0:
            raise ConfigError(
                "0 < sigma_min < sigma_max, and sigma_data, sigma_scale and rho are positive; got "
                f"sigma_min={self.sigma_min}, sigma_max={self.sigma_max}, sigma_data={self.sigma_data}, "
                f"sigma_scale={self.sigma_scale}, rho={self.rho}."
            )
        if self.sigma_loc is not None and self.sigma_loc <= 0:
            raise ConfigError(f"sigma_loc is a noise level and positive; got {self.sigma_loc}.")
        if self.inference_steps < 1:
            raise ConfigError(f"inference_steps must be at least 1; got {self.inference_steps}.")
        if self.dim % self.heads:
            raise ConfigError(f"dim must be divisible by heads = {self.heads}; got {self.dim}.")
        if not 0 <= self.goal_dropout < 1:
            raise ConfigError(f"goal_dropout is a probability in [0, 1); got {self.goal_dropout}.")
        if self.guidance != 1 and self.goal and not self.goal_dropout:
            raise ConfigError(
                f"guidance = {self.guidance} needs a policy that also learns to act without a goal; "
                "set goal_dropout above 0 (the paper has 0.1), or guidance to 1."
            )
