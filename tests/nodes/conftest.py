import pytest


@pytest.fixture
def graph(tmp_path):
    """A real ROS graph in a domain of its own; afterwards no process of it is left."""
    from harness import graph_of

    with graph_of(tmp_path) as made:
        yield made
