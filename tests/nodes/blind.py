"""A simulated rig without cameras, for tests that need its arm and its task only."""

from __future__ import annotations

from pathlib import Path

import yaml
from arm import patient_rig


def blind_rig(folder: Path, name: str = "blind") -> Path:
    """The patient rig's file without its cameras."""
    path = patient_rig(folder, name)
    content = yaml.safe_load(path.read_text())
    for camera in content.pop("cameras"):
        del content["policy"]["alignment"][camera]
    path.write_text(yaml.safe_dump(content))
    return path
