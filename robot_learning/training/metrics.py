"""The loss curve: `metrics.jsonl` for reports, TensorBoard for watching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from robot_learning.output import unwritable, write_text
from robot_learning.training.folder import METRICS


class MetricsLog:
    """Appends one line per call; lines after `resume_step` of a run that died are dropped first."""

    def __init__(self, output: Path, resume_step: int) -> None:
        self.path = output / METRICS
        kept = [line for line in read_metrics(output) if line["step"] <= resume_step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(str(output / "tensorboard"), purge_step=resume_step + 1)

    def write(self, step: int, **values: float) -> None:
        """Log figures of one step; UserError where the disk is full."""
        line = json.dumps({"step": step, **values})
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from None
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        self._board.close()


def read_metrics(output: str | Path) -> list[dict[str, Any]]:
    """All lines of a run's `metrics.jsonl`; a line that was cut off by a crash is left out."""
    path = Path(output) / METRICS
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines
