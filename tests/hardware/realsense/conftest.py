"""librealsense with recordings that the tests make; the graph of the nodes' tests."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed: pip install robot_learning[realsense]")

sys.path.insert(0, str(Path(__file__).parents[2] / "nodes"))


@pytest.fixture
def graph(tmp_path):
    """A real ROS graph in a domain of its own; afterwards no process of it is left."""
    from harness import graph_of

    with graph_of(tmp_path) as made:
        yield made
