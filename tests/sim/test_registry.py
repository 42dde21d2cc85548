import subprocess
import sys

import pytest

from robot_learning.errors import UnknownName, UserError
from robot_learning.sim import registry


def test_names_lists_everything_without_loading_a_simulator():
    code = (
        "import sys\n"
        "from robot_learning.sim.registry import names\n"
        "n = names()\n"
        "assert 'panda/lift' in n and 'pusht' in n and 'robosuite/Lift' in n, n\n"
        "assert sum(x.startswith('metaworld/') for x in n) == 50, n\n"
        "loaded = {'mujoco', 'robosuite', 'metaworld', 'gym_pusht', 'torch', 'pygame'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_misspelt_name_is_answered_with_the_closest():
    with pytest.raises(UnknownName, match="did you mean 'panda/lift'"):
        registry.make("panda/lit")


@pytest.mark.parametrize("name", ["panda/lift", "pusht"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, name):
    def missing(family):
        class Module:
            TASKS = ("pusht",)

            @staticmethod
            def make(task, cameras):
                raise ModuleNotFoundError("No module named 'somelib'", name="somelib")

        return Module

    monkeypatch.setattr(registry, "_module", missing)
    monkeypatch.setattr(registry, "names", lambda: [name])
    with pytest.raises(UserError, match=r"somelib.*robot_learning\[sim\]"):
        registry.make(name)


def test_a_bug_of_our_own_is_not_taken_for_a_missing_library(monkeypatch):
    def broken(family):
        raise ModuleNotFoundError("No module named 'robot_learning.nowhere'", name="robot_learning.nowhere")

    monkeypatch.setattr(registry, "_module", broken)
    monkeypatch.setattr(registry, "names", lambda: ["pusht"])
    with pytest.raises(ModuleNotFoundError):
        registry.make("pusht")


def test_a_seed_given_to_make_decides_the_resets_that_follow():
    starts = []
    for seed in (5, 5, 6):
        env = registry.make("panda/lift", cameras=False, seed=seed)
        starts.append(env.reset()[0]["cube_position"].tolist())
    assert starts[0] == starts[1] != starts[2]
