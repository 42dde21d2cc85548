"""docs/ros.md is what its generator writes, and the generator leaves nothing out."""

from pathlib import Path

from robot_learning.nodes import docs
from robot_learning.nodes.declarations import NODES

PAGE = Path(__file__).parents[2] / "docs" / "ros.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == docs.text(), "out of date: python -m robot_learning.nodes.docs writes it again"


def test_everything_that_nodes_declare_is_told():
    text = docs.text()
    for node in NODES:
        assert f"### {node.executable}\n" in text
        section = text.split(f"### {node.executable}\n")[1].split("\n### ")[0]
        for named in (*node.publishes, *node.subscribes, *node.serves, *node.calls):
            assert f"| `{named.name}` |" in section
        for parameter in node.parameters:
            assert f"| `{parameter.name}` |" in text
