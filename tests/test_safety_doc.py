"""docs/safety.md promises nothing that no test stands for."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_table_of_faults_names_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "safety.md").read_text())
    assert len(named) > 25
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_every_row_of_the_table_names_a_test():
    table = (ROOT / "docs" / "safety.md").read_text().split("| fault | promised outcome | test |")[1]
    rows = [row for row in table.splitlines() if row.startswith("| ")]
    assert all("::test_" in row for row in rows)
