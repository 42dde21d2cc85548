"""`robot-learning live`: a running rig in the browser."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import tyro

from robot_learning.errors import ConfigError


@dataclass(frozen=True)
class LiveConfig:
    """Watch a running rig in the browser: cameras, joints, gate, recorder. Ctrl-C ends it; the rig runs on.

    The page is served on this machine only. From another one: ssh -L 9090:127.0.0.1:9090 -L 9876:127.0.0.1:9876 HOST

    Attributes:
        rig: Name of a rig in hardware_configs/, or the path of a rig file.
        namespace: Of the rig's nodes; empty: the rig's name.
        port: Where the browser looks.
        data_port: Where the viewer's data goes.
        memory: What is kept for browsers that come later.
        browser: Open the page in this machine's browser.
    """

    rig: str
    namespace: str = ""
    port: Annotated[int, tyro.conf.arg(metavar="PORT")] = 9090
    data_port: Annotated[int, tyro.conf.arg(metavar="PORT")] = 9876
    memory: str = "500MB"
    browser: bool = False


def main(arguments: list[str]) -> int:
    """Show the rig until Ctrl-C."""
    config = tyro.cli(LiveConfig, prog="robot-learning live", args=arguments)
    from robot_learning.deployment.plan import environment
    from robot_learning.rig import load_rig

    rig = load_rig(config.rig)
    os.environ.update(environment(os.environ))  # as the rig's own nodes have it
    try:
        from robot_learning.nodes import live_node
    except ImportError as error:
        raise ConfigError(f"ROS 2 is not installed ({error}); run: pip install 'robot_learning[ros]'.") from None
    namespace = "/" + (config.namespace or rig.name).strip("/")
    parameters = {"rig": config.rig, "port": config.port, "data_port": config.data_port, "memory": config.memory}
    words = ["--ros-args", "-r", f"__ns:={namespace}"]
    for name, value in {**parameters, "browser": str(config.browser).lower()}.items():
        words += ["-p", f"{name}:={value}"]
    live_node.main(words)
    return 0
