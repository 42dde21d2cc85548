"""What is known of published data sets: the contract behind their keys.

A layout says which streams a source's key holds, so that imported data and our own simulation of the same task
share one contract, and a policy trained on the one runs in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.errors import unknown_name

PUSHT_RATE_HZ = 10.0


def _pusht() -> Contract:
    def stream(name: str, shape: tuple[int, ...], unit: str) -> StreamSpec:
        return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=PUSHT_RATE_HZ, frame="board")

    def feature(name: str, source: str = "") -> Feature:
        return Feature(
            name=name, stream=source or name, role="action" if name == "action" else "observation",
            alignment="nearest" if name == "action" else "previous", max_age_s=1 / PUSHT_RATE_HZ,
            privileged=name.startswith("block"),
        )  # fmt: skip

    return Contract(
        rig="pusht",
        robot="pusht",
        policy_rate_hz=PUSHT_RATE_HZ,
        streams=(
            stream("agent_position", (2,), "px"),
            stream("block_position", (2,), "px"),
            stream("block_angle", (1,), "angle_rad"),
            stream("keypoint", (9, 2), "px"),
            stream("contacts", (1,), "1"),
            StreamSpec(
                name="image", shape=(96, 96, 3), dtype="uint8", unit="rgb", rate_hz=PUSHT_RATE_HZ,
                frame="board", codec="lossless",
            ),
            *(stream(f"action_{stage}", (2,), "px") for stage in ("commanded", "gated", "executed")),
        ),
        features=(
            *(feature(name) for name in ("agent_position", "block_position", "block_angle", "keypoint", "image")),
            feature("action", "action_gated"),
        ),
    )  # fmt: skip


PUSHT = _pusht()
"""PushT (Florence et al., CoRL 2021; the variant of Chi et al., RSS 2023).

A disc pushes a T-shaped block onto its outline. Frame `board`: a square of 512 pixels, x to the right, y down.

- agent_position, block_position (2,) [px]; block_angle (1,) [rad] in [0, 2 pi).
- keypoint (9, 2) [px]: points on the block, which Diffusion Policy observes in place of its pose.
- contacts (1,): contact points during the step. Recorded, not observed.
- image (96, 96, 3): the board from above.
- action (2,) [px]: where the disc should go.
"""


@dataclass(frozen=True)
class Layout:
    """How a replay buffer's keys become streams.

    Attributes:
        contract: of the imported episodes.
        parts: key to the streams that it holds, in order along the last axis; one stream takes the key whole.
        task: what the demonstrations do, as one would tell a person.
    """

    contract: Contract
    parts: Mapping[str, tuple[str, ...]]
    task: str = ""
    optional: frozenset[str] = field(default=frozenset())


LAYOUTS: dict[str, Layout] = {
    "pusht": Layout(
        contract=PUSHT,
        parts={
            "state": ("agent_position", "block_position", "block_angle"),
            "img": ("image",),
            "keypoint": ("keypoint",),
            "n_contacts": ("contacts",),
            "action": ("action_gated",),
        },
        task="Push the T-shaped block onto its outline.",
        optional=frozenset({"img", "keypoint", "n_contacts"}),
    ),
}


def layout(name: str) -> Layout:
    """The layout called `name`, or UnknownName."""
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]
