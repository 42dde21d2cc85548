from collections import Counter
from types import SimpleNamespace

import conformance
import numpy as np
import pytest
from expert_run import run

from robot_learning.data.store import Store
from robot_learning.sim import registry
from robot_learning.sim.collect import CollectConfig, collect
from robot_learning.sim.play import TASKS, Free, completions
from robot_learning.sim.play_tasks import SUB_TASKS, lies_in, reached

RATE_HZ = 100


def stream(values, stamps):
    """As a stream of a store."""
    values, stamps = np.array(values), np.array(stamps)
    return type("Stream", (), {"stamp": stamps, "read": lambda _, i: values[i], "__len__": lambda _: len(values)})()


def test_the_registry_names_its_tasks_without_loading_mujoco():
    assert [name for name in registry.names() if name.startswith("play/")] == [f"play/{task}" for task in TASKS]


@pytest.mark.parametrize("task", SUB_TASKS)
def test_each_sub_task_begins_where_it_makes_sense_and_its_expert_does_it(task):
    env = registry.make(f"play/{task}", cameras=False)
    kind = SUB_TASKS[task]
    starts = Counter()
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        starts[lies_in(observation["cube_position"])] += 1
        steps, success, samples, _ = run(env, seed)
        assert success, seed
        assert steps < env.max_steps / 2
        cube = [s.data for s in samples if s.stream == "cube_position"][-1]
        assert lies_in(cube) == kind.to
    assert set(starts) == set(kind.from_)
    assert env.gate.trips == {}


def test_a_seed_decides_play(monkeypatch):
    monkeypatch.setattr(Free, "count", 2)
    env = registry.make("play/free", cameras=False)
    conformance.check_seeds(env)
    first = run(env, 3, steps=150)[2]
    run(env, 4, steps=10)
    again = run(env, 3, steps=150)[2]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(first, again, strict=True))


def test_play_goes_through_every_sub_task_in_random_order(monkeypatch):
    monkeypatch.setattr(Free, "count", 10)
    env = registry.make("play/free", cameras=False)
    orders = []
    for seed in range(2):
        _, success, samples, _ = run(env, seed)
        assert success
        streams = {
            name: stream(
                [s.data for s in samples if s.stream == name], [s.stamp_ns for s in samples if s.stream == name]
            )
            for name in ("cube_position", "gripper_width")
        }
        orders.append(
            [c.sub_task for c in completions(SimpleNamespace(id="x", contract=env.contract, streams=streams))]
        )
        assert len(orders[-1]) >= 9  # the last may not have come to rest
    assert orders[0] != orders[1]
    assert {name for order in orders for name in order} == set(SUB_TASKS)


def test_a_recording_of_play_holds_no_label_and_its_completions_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(Free, "count", 2)
    (done,) = collect(CollectConfig("play/free", tmp_path / "store", episodes=1, cameras=False)).new
    assert done.success
    (episode,) = Store.open(tmp_path / "store").episodes()
    told = str(episode.document) + str(episode.metadata)
    assert not any(name in told for name in SUB_TASKS)
    found = completions(episode)
    assert found
    cube = episode.streams["cube_position"]
    for completion in found:
        at = cube.read([int(np.searchsorted(cube.stamp, completion.stamp_ns))])[0]
        assert lies_in(at) == SUB_TASKS[completion.sub_task].to


def test_regions_are_told_apart_by_place_and_what_was_carried_must_be_let_go():
    assert lies_in(np.array([0.45, 0.18, 0.02])) == "left"
    assert lies_in(np.array([0.45, -0.18, 0.02])) == "right"
    assert lies_in(np.array([0.45, 0.0, 0.02])) == "middle"
    assert lies_in(np.array([0.66, 0.0, 0.06])) == "shelf"
    assert lies_in(np.array([0.66, 0.0, 0.10])) == lies_in(np.array([0.45, 0.09, 0.02])) == ""
    assert lies_in(np.array([0.45, 0.18, 0.10])) == ""
    assert reached(np.array([0.45, 0.18, 0.02]), 0.0) == "left"
    assert (reached(np.array([0.66, 0.0, 0.06]), 0.04), reached(np.array([0.66, 0.0, 0.06]), 0.08)) == ("", "shelf")


def recording(ways, gripper=0.08):
    """As an episode: the cube goes along `ways`, (seconds, y) each, on the table."""
    ends = np.cumsum([0.0] + [seconds for seconds, _ in ways])[1:]
    times = np.arange(0, ends[-1], 1 / RATE_HZ)
    y = np.interp(times, [0.0, *ends], [ways[0][1], *(y for _, y in ways)])
    stamps = (times * 1e9).astype(np.int64)

    cube = np.stack([np.full_like(y, 0.45), y, np.full_like(y, 0.02)], axis=1)
    width = np.full((len(y), 1), gripper)
    contract = SimpleNamespace(stream=lambda _: SimpleNamespace(rate_hz=RATE_HZ))
    return SimpleNamespace(
        id="one",
        contract=contract,
        streams={"cube_position": stream(cube, stamps), "gripper_width": stream(width, stamps)},
    )


def test_a_completion_is_when_the_cube_has_come_to_rest_in_another_region():
    there_and_back = recording([(1, 0.18), (1, -0.18), (1, -0.18), (1, 0.18), (1, 0.18)])
    found = completions(there_and_back)
    assert [(c.sub_task, c.episode) for c in found] == [("push_right", "one"), ("push_left", "one")]
    assert [c.stamp_ns / 1e9 for c in found] == pytest.approx([2.25, 4.25], abs=0.03)


def test_passing_through_and_shifting_within_a_region_are_no_completions():
    assert completions(recording([(1, 0.18), (2, 0.09), (1, 0.15), (1, 0.2), (1, 0.2)])) == []
