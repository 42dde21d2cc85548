import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from robot_learning.cli.collect import summary
from robot_learning.data.recorder import Recorder
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError, StoreError, UnknownName, UserError
from robot_learning.pool import Stopped
from robot_learning.sim.collect import CollectConfig, collect
from robot_learning.sim.recording import Demonstrator, Job
from robot_learning.sim.registry import make

ENV = "panda/lift"
PATIENCE_S = 120


@pytest.fixture
def job(tmp_path):
    Store.create(tmp_path / "store")
    return Job(ENV, tmp_path / "store", None, cameras=False, only_successes=False, provenance={"command": "a test"})


def never():
    return False


def idle(steps, success=False):
    """An act that waits."""

    def act(env, seed):
        env.reset(seed=seed)
        env.samples()
        hold = env.expert()
        hold.reset()
        for _ in range(steps):
            env.step(hold.act())
            env.samples()
        return success, "success" if success else "time limit"

    return act


def start(*arguments):
    """`robot-learning collect`, as a user's terminal would start it."""
    command = [sys.executable, "-m", "robot_learning.cli.main", "collect", "--env", ENV, "--no-cameras", *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def sealed(path):
    return Store.open(path).episodes() if (path / "store.json").is_file() else []


def being_recorded(path):
    return Store.open(path).open_episodes() if (path / "store.json").is_file() else []


def test_an_episode_holds_every_stream_at_its_rate_and_where_it_comes_from(job):
    demonstrator = Demonstrator(job)
    done = demonstrator.record(3, never)
    demonstrator.close()
    (episode,) = Store.open(job.store).episodes()
    assert check(Store.open(job.store)) == []
    assert done.success
    assert (episode.id, episode.metadata["outcome"]) == (done.id, "success")
    assert episode.metadata["operator"] == "expert"
    assert episode.metadata["provenance"] == {"command": "a test", "env": ENV, "seed": 3, "cameras": False}
    pictures = {s.name for s in episode.contract.streams if s.unit in ("rgb", "depth_mm")}
    absent = pictures | {"commander"}  # nobody can take over from an expert
    assert set(episode.metadata["absent_streams"]) == absent
    for spec in episode.contract.streams:
        stream = episode.streams[spec.name]
        if spec.name in absent:
            assert len(stream) == 0
        else:
            assert len(stream) > 10
            assert np.diff(stream.stamp) == pytest.approx(1e9 / spec.rate_hz, abs=2)
            assert np.array_equal(stream.sequence, np.arange(len(stream)))


def test_the_recorded_actions_lead_through_the_recorded_states(job):
    demonstrator = Demonstrator(job)
    demonstrator.record(0, never)
    (episode,) = Store.open(job.store).episodes()
    actions = episode.streams["action_commanded"]
    env = make(ENV, cameras=False)
    env.reset(seed=0)
    replayed = env.samples()
    for action in actions.read(range(len(actions))):
        *_, info = env.step(action)
        replayed += env.samples()
    assert info["success"]
    for name in ("ee_position", "joint_position", "action_executed"):
        stream = episode.streams[name]
        assert np.array_equal(stream.read(range(len(stream))), [s.data for s in replayed if s.stream == name])


def test_a_failure_is_recorded_as_such_or_thrown_away_as_asked(job):
    demonstrator = Demonstrator(job)
    demonstrator._act = idle(5)
    kept = demonstrator.record(0, never)
    (episode,) = Store.open(job.store).episodes()
    assert (kept.id, kept.success) == (episode.id, False)
    assert (episode.metadata["outcome"], episode.metadata["termination_reason"]) == ("failure", "time limit")

    demonstrator._job = Job(ENV, job.store, None, cameras=False, only_successes=True, provenance={})
    thrown = demonstrator.record(1, never)
    assert (thrown.id, thrown.success) == (None, False)
    assert len(Store.open(job.store).episodes()) == 1
    assert Store.open(job.store).open_episodes() == []


def test_an_episode_whose_first_action_is_refused_is_thrown_away(job):
    demonstrator = Demonstrator(job)
    demonstrator._act = idle(0)
    assert demonstrator.record(0, never).id is None
    assert Store.open(job.store).episodes() == []


def test_when_asked_to_stop_the_open_episode_is_thrown_away(job):
    asked = iter([False] * 5 + [True])
    with pytest.raises(Stopped):
        Demonstrator(job).record(0, lambda: next(asked))
    assert Store.open(job.store).episodes() == []
    assert Store.open(job.store).open_episodes() == []


def test_where_the_recorder_ends_early_what_there_was_is_sealed_without_an_outcome(job, monkeypatch):
    demonstrator = Demonstrator(job)
    taken = iter([True] * 100)
    real = Recorder.record_blocking
    monkeypatch.setattr(Recorder, "record_blocking", lambda self, s: next(taken, False) and real(self, s))
    with pytest.raises(StoreError, match="ended early"):
        demonstrator.record(0, never)
    (episode,) = Store.open(job.store).episodes()
    assert episode.metadata["outcome"] is None


def test_several_processes_fill_one_store_and_the_same_command_records_only_what_is_missing(tmp_path, job):
    demonstrator = Demonstrator(job)
    demonstrator.record(1, never)
    demonstrator._act = idle(3)
    demonstrator._recorder.start(
        "x", "expert", {"env": ENV, "seed": 2, "cameras": False}, absent_streams=demonstrator._absent
    )
    demonstrator._recorder.stop(None, "recovered")  # as recovery leaves it: not a whole demonstration
    config = CollectConfig(ENV, job.store, episodes=4, cameras=False, workers=2)
    result = collect(config)
    assert (result.present, [d.seed for d in result.new], result.interrupted) == (1, [0, 2, 3], False)
    store = Store.open(job.store)
    whole = [e for e in store.episodes() if e.metadata["outcome"] == "success"]
    assert sorted(e.metadata["provenance"]["seed"] for e in whole) == [0, 1, 2, 3]
    assert store.open_episodes() == []
    again = collect(config)
    assert (again.present, again.new) == (4, ())
    assert "3 episodes, 3 successes (100.0 %)" in summary(config, result)
    assert "4 of 4 seeds were in the store already" in summary(config, again)


def test_ctrl_c_leaves_sealed_episodes_only(tmp_path):
    store = tmp_path / "store"
    process = start("--store", store, "--episodes", "500", "--workers", "2")
    wait_for(lambda: process.poll() is not None or (len(sealed(store)) >= 2 and being_recorded(store)))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "the same command goes on from here" in out
    assert err.strip().splitlines()[-1] == "robot-learning: stopped by Ctrl-C."
    assert "Traceback" not in err
    assert len(sealed(store)) >= 2
    assert being_recorded(store) == []
    assert check(Store.open(store)) == []


def test_workers_of_a_killed_command_throw_their_open_episodes_away_and_end(tmp_path):
    store = tmp_path / "store"
    process = start("--store", store, "--episodes", "500")
    wait_for(lambda: process.poll() is not None or being_recorded(store))
    process.kill()
    process.wait()
    process.stdout.read()  # ends when the last process that has it, the worker, has ended
    process.stderr.read()
    assert being_recorded(store) == []
    assert check(Store.open(store)) == []


def test_a_policy_can_act_and_its_images_are_recorded(tmp_path):
    torch = pytest.importorskip("torch")
    from robot_learning.policies import checkpoint, registry
    from robot_learning.policies.diffusion.config import DiffusionUNetConfig
    from robot_learning.policies.normalizer import Normalizer
    from robot_learning.policies.view import View

    contract = make("pusht", cameras=False).contract
    both = ("agent_position", "action")
    normalizer = Normalizer(
        dict.fromkeys(both, "min_max"), dict.fromkeys(both, [1 / 256] * 2), dict.fromkeys(both, [-1.0] * 2)
    )
    torch.manual_seed(0)
    view = View(("agent_position",), ("action",), WindowSpec(2, 16))
    config = DiffusionUNetConfig(dims=(8,), step_dim=8, groups=4, inference_steps=1)
    policy = registry.make(config, contract, view, normalizer)
    saved = checkpoint.save(tmp_path / "policy", policy, "0" * 64)
    store = Store.create(tmp_path / "store")
    demonstrator = Demonstrator(Job("pusht", store.path, str(saved), True, False, {}))
    done = demonstrator.record(0, never)
    demonstrator.close()
    (episode,) = store.episodes()
    assert check(store) == []
    assert (episode.metadata["operator"], episode.metadata["outcome"]) == (f"policy {saved}", "failure")
    assert done.seconds == 30.0
    assert len(episode.streams["image"]) == 301
    assert len(episode.streams["action_executed"]) == 300
    assert episode.metadata["absent_streams"] == []


@pytest.mark.parametrize(
    "wrong", [{"episodes": 0}, {"workers": 0}, {"seed": -1}, {"seed": 99_999, "episodes": 2}, {"seed": 100_000}]
)
def test_what_makes_no_sense_is_refused(tmp_path, wrong):
    with pytest.raises(ConfigError):
        CollectConfig(ENV, tmp_path, **wrong)


def test_a_misspelt_task_leaves_no_store_behind(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'panda/lift'"):
        collect(CollectConfig("panda/litf", tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_worker_tells_a_user_s_mistake_in_its_own_words(tmp_path):
    with pytest.raises(UserError, match="pusht has no scripted expert"):
        collect(CollectConfig("pusht", tmp_path / "store", episodes=1, cameras=False))
