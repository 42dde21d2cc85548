"""What docs/hardware/teleop.md shows can be used as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.rig import parse_rig, rig_path
from robot_learning.rig_parts.teleop_inputs import GAMEPAD, KEYBOARD, SPACEMOUSE, WEB, WORDS

DOC = (Path(__file__).parents[2] / "docs" / "hardware" / "teleop.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_a_section_that_a_rig_takes(example):
    named = re.match(r"# rig: (\w+)", example)
    rig = yaml.safe_load(rig_path(named.group(1) if named else "panda_sim").read_text())
    section = yaml.safe_load(example)["teleop"]
    teleop = parse_rig(rig | {"teleop": section}, "rig.yaml").teleop
    mapping = Mapping(teleop, teleop.device)
    mapping.opened(teleop.devices()[teleop.device].inputs.buttons)
    given = section.get(teleop.device, {}).get("axes", {})
    assert {motion for motion, source in given.items() if source != "none"} <= mapping.motions
    if section.get("mode") == "mixed":
        assert set(rig["robot"]["joint_names"][:4]) <= mapping.motions


def test_every_axis_word_and_button_of_a_gamepad_is_told():
    for inputs in (KEYBOARD, GAMEPAD, SPACEMOUSE, WEB):
        assert all(f"`{axis}`" in DOC for axis in inputs.axes)
    told = set(re.findall(r"[a-z_]+", DOC))
    assert set(WORDS) <= told
    assert set(GAMEPAD.buttons) <= told
