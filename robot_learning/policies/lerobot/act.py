"""LeRobot's ACT on our own network: the same numbers by other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from robot_learning.policies.act.config import DECAY
from robot_learning.policies.lerobot.reading import ENVIRONMENT, RESNETS, Source, renamed

# What our network does; LeRobot's has a choice.
FIXED = {
    "n_obs_steps": ((1,), "ACT sees the newest observation"),
    "pre_norm": ((False,), "our layers have their norms after the sums, as the paper's"),
    "feedforward_activation": (("relu",), "our layers have that of the paper"),
    "replace_final_stride_with_dilation": ((False, 0), "our backbones are not dilated"),
}
RENAMED = [
    (r"^model\.", ""),
    (r"^vae_encoder\.layers\.", "style.layers."),
    (r"^vae_encoder_cls_embed\.weight$", "style.cls"),
    (r"^vae_encoder_robot_state_input_proj\.", "style.state."),
    (r"^vae_encoder_action_input_proj\.", "style.action."),
    (r"^vae_encoder_latent_output_proj\.", "style.head."),
    (r"^encoder_latent_input_proj\.", "decode.style."),
    (r"^encoder_robot_state_input_proj\.", "observe.state.0."),
    (r"^encoder_env_state_input_proj\.", "observe.state.1."),
    (r"^encoder_1d_feature_pos_embed\.weight$", "decode.first_positions"),
    (r"^(encoder|decoder)\.layers\.", r"decode.\1."),
    (r"^decoder\.norm\.", "decode.norm."),
    (r"^decoder_pos_embed\.weight$", "decode.queries"),
    (r"^action_head\.", "decode.head."),
    (r"\.self_attn\.", ".attend."),
    (r"\.multihead_attn\.", ".look."),
    (r"\.linear1\.", ".feed.0."),
    (r"\.linear2\.", ".feed.3."),
    *((rf"\.norm{i + 1}\.", f".norms.{i}.") for i in range(3)),
    (r"^backbone\.", "camera.backbone."),
    (r"^encoder_img_feat_input_proj\.", "camera.project."),
]
COMPUTED = "vae_encoder_pos_enc"  # the sinusoids, which our network makes itself


def configure(source: Source) -> dict[str, Any]:
    """The configuration of our policy `act`, in the JSON form; ConfigError for an option that it does not have."""
    for key, (allowed, why) in FIXED.items():
        source.require(key, allowed, why)
    vision: dict[str, Any] = {}
    if source.cameras:
        source.require("vision_backbone", RESNETS, "these are the same network there and here")
        vision = {"backbone": source.option("vision_backbone"), "norm": "frozen_batch"}
    return {
        "Tp": source.option("chunk_size"),
        "Ta": source.option("n_action_steps"),
        "dim": source.option("dim_model"),
        "heads": source.option("n_heads"),
        "ffn_dim": source.option("dim_feedforward"),
        "dropout": source.option("dropout"),
        "encoder_layers": source.option("n_encoder_layers"),
        "decoder_layers": source.option("n_decoder_layers"),
        "style_layers": source.option("n_vae_encoder_layers"),
        "style_dim": source.option("latent_dim"),
        "cvae": source.option("use_vae"),
        "kl_weight": source.option("kl_weight"),
        "l1_over": "all",  # as LeRobot's loss, for those who train on
        "vector_tokens": "each",
        "vision": vision,
    }


def weights(source: Source, names: Mapping[str, str]) -> dict[str, Tensor]:
    """By our names; where LeRobot's cameras share a backbone, each of ours has a copy."""
    given = renamed({name: tensor for name, tensor in source.weights.items() if COMPUTED not in name}, RENAMED)
    camera = {name.removeprefix("camera."): given.pop(name) for name in list(given) if name.startswith("camera.")}
    for key in source.cameras:
        own = camera | source.pixel_statistics(key)
        given |= {f"observe.cameras.maps.{names[key]}.{name}": tensor for name, tensor in own.items()}
    if "style.cls" in given:
        given["style.cls"] = given["style.cls"][None]
    if "style.state.weight" in given:  # LeRobot's style does not depend on the environment
        unused = sum(source.shapes.get(ENVIRONMENT, ()))
        given["style.state.weight"] = pad(given["style.state.weight"], (0, unused))
    return given


def notes(source: Source) -> list[str]:
    """On what has no place in a checkpoint: execution, and cameras that shared weights."""
    told = []
    if len(source.cameras) > 1:
        told.append("LeRobot's cameras share a backbone; here each has a copy of it")
    coefficient = source.config.get("temporal_ensemble_coeff")
    if coefficient is not None:
        told.append(
            f"temporal_ensemble_coeff={coefficient} is how chunks are executed, not in the weights: say "
            "policy.execution.method: ensemble in the rig file"
            + ("" if coefficient == DECAY else f", which weighs with {DECAY}, the paper's, instead of {coefficient}")
        )
    return told
