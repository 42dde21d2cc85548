"""Figures that others published, to stand beside ours. None of them was run again here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One figure.

    Attributes:
        suites: those of ours that it is to be compared with.
        what: policy and setting.
        score: mean of each episode's greatest coverage / 0.95, or as `note` says; None: not given.
        success: rate in [0, 1]; None: not given.
        note: how it was measured and where that differs from ours.
        source: where it was read.
    """

    suites: tuple[str, ...]
    what: str
    score: str | None
    success: float | None
    note: str
    source: str


_PAPER = "Chi et al., Diffusion Policy, RSS 2023 (arXiv 2303.04137), tables"
_DP = "90 demonstrations, 3 training seeds, 50 initial states; largest of all / mean of the last 10 checkpoints"
_CARD = "model card of lerobot/diffusion_pusht, revision 8f3b4d8"
_STATE, _IMAGE = ("pusht-human-state",), ("pusht-human-image",)

PUBLISHED = (
    Published(_STATE, "Diffusion Policy, U-Net", "0.95 / 0.91", None, _DP, _PAPER),
    Published(_STATE, "Diffusion Policy, transformer", "0.95 / 0.79", None, _DP, _PAPER),
    Published(_IMAGE, "Diffusion Policy, U-Net", "0.91 / 0.84", None, _DP, _PAPER),
    Published(_IMAGE, "Diffusion Policy, transformer", "0.78 / 0.66", None, _DP, _PAPER),
    Published(
        _IMAGE, "LeRobot, Diffusion Policy", "0.959", 0.638,
        "500 episodes; about 7 hours on an RTX 3090; all demonstrations", _CARD,
    ),
    Published(
        _IMAGE, "Diffusion Policy's own code, as run by LeRobot's authors", "0.957", 0.642, "500 episodes", _CARD
    ),
    Published(
        _STATE, "BESO, goal-conditioned, without / with guidance", "0.30 / 0.25", None,
        "final coverage, not the greatest of an episode: another measure than ours",
        "Lee et al., VQ-BeT (ICML 2024), through a summary; not checked against the paper",
    ),
    Published(
        _IMAGE, "ACT-JEPA", None, 0.41, "190 demonstrations, 100 episodes",
        "arXiv 2501.14622, through a summary; not checked against the paper",
    ),
    Published(
        ("metaworld-image",), "ACT-JEPA", None, 0.92,
        "mean of 15 tasks (not these six) with 40 demonstrations each, 20 episodes per task",
        "arXiv 2501.14622, through a summary; not checked against the paper",
    ),
)  # fmt: skip


def beside(suite: str) -> list[Published]:
    """Those for a suite."""
    return [p for p in PUBLISHED if suite in p.suites]
