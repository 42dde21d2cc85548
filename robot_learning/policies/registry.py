"""Names of policies, each with its configuration and its class; torch loads on use."""

from __future__ import annotations

import importlib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.act.config import ActConfig
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.config import PolicyConfig
from robot_learning.policies.diffusion.config import (
    DiffusionTransformerConfig,
    DiffusionUNetConfig,
    FlowTransformerConfig,
    FlowUNetConfig,
)
from robot_learning.policies.mse.config import MseConfig

POLICIES: dict[str, tuple[type[PolicyConfig], str]] = {
    DiffusionUNetConfig.policy: (DiffusionUNetConfig, "robot_learning.policies.diffusion.policy:DiffusionPolicy"),
    DiffusionTransformerConfig.policy: (
        DiffusionTransformerConfig,
        "robot_learning.policies.diffusion.policy:DiffusionPolicy",
    ),
    FlowUNetConfig.policy: (FlowUNetConfig, "robot_learning.policies.diffusion.flow:FlowPolicy"),
    FlowTransformerConfig.policy: (FlowTransformerConfig, "robot_learning.policies.diffusion.flow:FlowPolicy"),
    ActConfig.policy: (ActConfig, "robot_learning.policies.act.policy:ActPolicy"),
    ActJepaConfig.policy: (ActJepaConfig, "robot_learning.policies.act_jepa.policy:ActJepaPolicy"),
    BesoConfig.policy: (BesoConfig, "robot_learning.policies.beso.policy:BesoPolicy"),
    MseConfig.policy: (MseConfig, "robot_learning.policies.mse.policy:MsePolicy"),
}


def _entry(name: str) -> tuple[type[PolicyConfig], str]:
    if name not in POLICIES:
        raise unknown_name("policy", name, POLICIES)
    return POLICIES[name]


def parse_config(name: str, content: dict[str, Any]) -> PolicyConfig:
    """The configuration of the policy called `name` from its JSON form (`dataclasses.asdict`).

    Raises:
        UnknownName: no such policy.
        ConfigError: a key or value that the policy does not have.
    """
    config_class, _ = _entry(name)
    unknown = sorted(set(content) - set(config_class.__dataclass_fields__))
    if unknown:
        raise ConfigError(f"the configuration of policy '{name}' has no key '{unknown[0]}'.")
    try:
        return TypeAdapter(config_class).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"the configuration of policy '{name}' is wrong at '{where}': {first['msg']}.") from None


def make(config: PolicyConfig, contract: Contract, view: Any, normalizer: Any) -> Any:
    """The policy (`policies.base.Policy`) of a configuration, with fresh weights."""
    module, class_name = _entry(config.policy)[1].split(":")
    return getattr(importlib.import_module(module), class_name)(config, contract, view, normalizer)
