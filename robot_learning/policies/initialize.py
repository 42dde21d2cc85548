"""Fresh weights of a transformer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

Init = Literal["gpt2", "width"]
_GPT2_STD = 0.02
_POSITION_STD = 0.5  # about as large as the tokens that they are added to


def initialize(network: nn.Module, init: Init, positions: Iterable[Tensor], last: Iterable[nn.Linear]) -> None:
    """Draw all weights of linear maps and attention, and the learned positions; biases become zero.

    `gpt2`: N(0, 0.02) everywhere, as published: right for a width of thousands, small for one of a hundred, which then
    learns slowly. `width`: N(0, 1 / inputs) for maps, so that values keep their size on the way, but N(0, 0.02) for
    `last`; with it small networks get in 1,000 steps where they else are after several thousand.

    Args:
        positions: learned positions.
        last: the last map of each branch that is added to the stream of tokens, and the head.
    """

    def draw(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_GPT2_STD if init == "gpt2" else module.in_features**-0.5)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=_GPT2_STD if init == "gpt2" else module.embed_dim**-0.5)
            nn.init.zeros_(module.in_proj_bias)

    network.apply(draw)
    for position in positions:
        nn.init.normal_(position, std=_GPT2_STD if init == "gpt2" else _POSITION_STD)
    if init == "width":
        for linear in last:
            nn.init.normal_(linear.weight, std=_GPT2_STD)
