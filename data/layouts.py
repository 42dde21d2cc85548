"""What is known of published data sets: the contract behind their keys.

A layout says which streams a source's key holds, so that imported data and our own simulation of the same task
share one contract, and a policy trained on the one runs in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.errors import UserError, unknown_name

Mirror = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]  # an episode's streams to its mirror image's

PUSHT_RATE_HZ = 10.0
PUSHT_BOARD_PX = 512.0
# The published keypoints in the block's own frame [px], found from the demonstrations, where they are rigid.
_KEYPOINTS = np.array(
    [
        [9.270, 90.041], [-60.984, -1.187], [60.913, -1.393], [-0.271, 25.544], [-14.065, 122.816],
        [39.003, 32.857], [-39.966, 32.730], [-16.824, 62.863], [23.542, -1.700],
    ]
)  # fmt: skip


def _pusht() -> Contract:
    def stream(name: str, shape: tuple[int, ...], unit: str) -> StreamSpec:
        return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=PUSHT_RATE_HZ, frame="board")

    def feature(name: str, source: str = "") -> Feature:
        return Feature(
            name=name, stream=source or name, role="action" if name == "action" else "observation",
            alignment="nearest" if name == "action" else "previous", max_age_s=1 / PUSHT_RATE_HZ,
            privileged=name.startswith(("block", "keypoint")),
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
- keypoint (9, 2) [px]: points on the block, which Diffusion Policy observes in place of its pose. Privileged as that
  is: a policy from images doesn't see them.
- contacts (1,): contact points during the step. Recorded, not observed.
- image (96, 96, 3): the board from above.
- action (2,) [px]: where the disc should go.
"""


def pusht_keypoints(position: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Where the published keypoints are, (..., 9, 2) [px], with the block at (..., 2) [px] and (..., 1) [rad]."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = _KEYPOINTS[:, 0], _KEYPOINTS[:, 1]
    return position[..., None, :] + np.stack([c * x - s * y, s * x + c * y], axis=-1)


def pusht_mirrored(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An episode of PushT in the mirror that swaps the board's two other corners and leaves the outline in place.

    The T is symmetric about its stem, which points along the diagonal x + y = 512 px in its outline: so the
    mirror image (x, y) -> (512 - y, 512 - x) of an episode is an episode, too, and physics carry it out.

    Args:
        values: stream to (n, *shape), of `PUSHT`.

    Returns:
        the same streams.
    """

    def flipped(points: np.ndarray) -> np.ndarray:
        return PUSHT_BOARD_PX - points[..., ::-1]

    out = dict(values)
    for name in ("agent_position", "block_position", "action_gated"):
        if name in out:
            out[name] = flipped(out[name])
    if "block_angle" in out:
        out["block_angle"] = (np.pi / 2 - out["block_angle"]) % (2 * np.pi)
    if "keypoint" in out:  # points of the block, not symmetric about its stem
        out["keypoint"] = pusht_keypoints(out["block_position"], out["block_angle"])
    if "image" in out:
        out["image"] = np.ascontiguousarray(out["image"][:, ::-1, ::-1].swapaxes(1, 2))
    return out


@dataclass(frozen=True)
class Layout:
    """How a replay buffer's keys become streams.

    Attributes:
        contract: of the imported episodes.
        parts: key to the streams that it holds, in order along the last axis; one stream takes the key whole.
        task: what the demonstrations do, as one would tell a person.
        optional: keys that a source may lack.
        mirrored: an episode's streams to those of its mirror image, where the task has such a symmetry.
    """

    contract: Contract
    parts: Mapping[str, tuple[str, ...]]
    task: str = ""
    optional: frozenset[str] = field(default=frozenset())
    mirrored: Mirror | None = None


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
        mirrored=pusht_mirrored,
    ),
}


def layout(name: str) -> Layout:
    """The layout called `name`, or UnknownName."""
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]


def mirror(name: str | None) -> Mirror:
    """What makes mirror images in the layout called `name`; UnknownName, or UserError where there is no such thing."""
    if name is None or (mirrored := layout(name).mirrored) is None:
        able = " or ".join(sorted(key for key, one in LAYOUTS.items() if one.mirrored is not None))
        raise UserError(f"mirror images need a layout that knows its task's symmetry: --layout {able}; got {name}.")
    return mirrored
