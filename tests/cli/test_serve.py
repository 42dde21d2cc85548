"""`robot-learning serve`: what it refuses before it loads anything, and the keys that it makes."""

from __future__ import annotations

import sys

import pytest

from robot_learning.cli import serve
from robot_learning.errors import DeploymentError, StoreError, UserError


@pytest.mark.parametrize(
    ("line", "error", "match"),
    [
        ("", UserError, "needs a policy; give one with --checkpoint"),
        ("--checkpoint nowhere", StoreError, "there is no checkpoint nowhere"),
        ("--checkpoint nowhere --endpoint tcp://0.0.0.0:5757", DeploymentError, "no keys.*--make-keys"),
        ("--checkpoint nowhere --endpoint 5757", DeploymentError, "an endpoint is tcp://host:port"),
        ("--checkpoint nowhere --threads 0", UserError, "--threads must be at least 1; got 0"),
        ("--make-keys keys --client Rig", DeploymentError, "lower case letters.*got 'Rig'"),
        ("--make-keys keys --client server", DeploymentError, "and not 'server'"),
    ],
)
def test_a_mistake_is_named(line, error, match):
    with pytest.raises(error, match=match):
        serve.main(line.split())


def test_keys_are_made_for_both_sides_and_it_says_where_they_belong(tmp_path, capsys):
    assert serve.main(["--make-keys", str(tmp_path / "keys")]) == 0
    assert serve.main(["--make-keys", str(tmp_path / "keys"), "--client", "left_arm"]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path}/keys/server: for the policy server's machine" in said
    assert f"{tmp_path}/keys/left_arm: for the robot's machine" in said
    clients = sorted(p.name for p in (tmp_path / "keys/server/clients").iterdir())
    assert clients == ["left_arm.key", "rig.key"]


def test_keys_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DeploymentError, match=r"can't write keys to .*taken.*give another folder"):
        serve.main(["--make-keys", str(tmp_path / "taken")])


def test_the_console_script_leaves_ros_arguments_out(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["policy_server", "--ros-args", "-r", "__node:=server"])
    with pytest.raises(SystemExit) as end:
        serve.entry()
    assert end.value.code == 2
    assert "robot-learning: serve needs a policy" in capsys.readouterr().err
