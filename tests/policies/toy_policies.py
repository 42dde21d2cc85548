"""An arm's contract with every unit that needs encoding, and small policies on it."""

import numpy as np
import torch

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.policies import registry
from robot_learning.policies.config import VisionConfig
from robot_learning.policies.diffusion.config import DiffusionTransformerConfig, DiffusionUNetConfig
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix

VISION = VisionConfig(image_size=None, crop=0.75, backbone="resnet10t", keypoints=4, feature_dim=8)
UNET = DiffusionUNetConfig(dims=(16, 32), step_dim=16, Tp=8, Ta=4, vision=VISION)
TRANSFORMER = DiffusionTransformerConfig(layers=2, heads=2, dim=32, Tp=8, Ta=4, attention_dropout=0.0, vision=VISION)


def arm_contract(robot="arm", **changed_units):
    units = {
        "joints": ((3,), "rad"),
        "orientation": ((4,), "quaternion_wxyz"),
        "yaw": ((1,), "angle_rad"),
        "keypoints": ((3, 2), "px"),
        "action_gated": ((10,), "m[3] rotation_6d[6] m[1]"),
    } | changed_units
    streams = [StreamSpec(name=n, shape=s, dtype="float64", unit=u, rate_hz=20) for n, (s, u) in units.items()]
    for name in ("front", "wrist"):
        streams.append(StreamSpec(name=name, shape=(64, 80, 3), dtype="uint8", unit="rgb", rate_hz=20))
    streams.append(StreamSpec(name="depth", shape=(64, 80), dtype="uint16", unit="depth_mm", rate_hz=20))
    features = [
        Feature(
            name="action" if s.name == "action_gated" else s.name,
            stream=s.name,
            role="action" if s.name == "action_gated" else "observation",
            alignment="previous",
            max_age_s=0.1,
            privileged=s.name == "keypoints",
        )
        for s in streams
    ]
    return Contract(rig="toy", robot=robot, policy_rate_hz=20, streams=tuple(streams), features=tuple(features))


def raw_values(contract, name, lead, rng):
    """Plausible raw values of a feature, (*lead, *shape) float32."""
    spec = contract.spec_of(name)
    if spec.unit == "rgb":
        return torch.from_numpy(rng.integers(0, 256, (*lead, *spec.shape), dtype=np.uint8))
    values = rng.normal(size=(*lead, *spec.shape))
    if spec.unit == "quaternion_wxyz":
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
    if "rotation_6d" in spec.unit:
        q = rng.normal(size=(*lead, 4))
        values[..., 3:9] = matrix_to_rotation_6d(quaternion_to_matrix(q))
    return torch.from_numpy(values.astype(np.float32))


def batch(contract, view, size, seed=0):
    rng = np.random.default_rng(seed)
    observation = {n: raw_values(contract, n, (size, view.spec.To), rng) for n in view.observations}
    action = torch.cat([raw_values(contract, n, (size, view.spec.Tp), rng) for n in view.actions], dim=-1)
    made = {"observation": observation, "action": action, "mask": torch.ones(size, view.spec.Tp, dtype=torch.bool)}
    if F := view.spec.future:
        made["future"] = {n: raw_values(contract, n, (size, F), rng) for n in view.futures}
        made["future_mask"] = torch.ones(size, F, dtype=torch.bool)
    if G := view.spec.goal:
        made["goal"] = {n: raw_values(contract, n, (size, G), rng) for n in view.goals}
        made["goal_mask"] = torch.ones(size, dtype=torch.bool)
    return made


def make_policy(config=UNET, observations=("joints", "orientation", "yaw"), contract=None, seed=0):
    contract = contract or arm_contract()
    future = tuple(name for name in observations if contract.spec_of(name).is_image == config.future_images)
    view = View(
        observations,
        ("action",),
        config.spec,
        futures=future if config.spec.future else (),
        goals=observations if config.spec.goal else (),
    )
    rng = np.random.default_rng(seed)
    encodings = {n: Encoding(n, contract.spec_of(n)) for n in view.vectors(contract)}
    values = {n: e.encode(raw_values(contract, n, (200,), rng)).numpy() for n, e in encodings.items()}
    rotational = {n: e.rotational.numpy() for n, e in encodings.items()}
    torch.manual_seed(seed)
    normalizer = Normalizer.fit(values, rotational, config.normalization, config.default_method)
    return registry.make(config, contract, view, normalizer)
