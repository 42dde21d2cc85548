from dataclasses import replace

import numpy as np
import pytest
from expert_run import run
from gymnasium.utils.env_checker import check_env

from robot_learning.contract import Contract
from robot_learning.drivers.mujoco.camera import intrinsics
from robot_learning.errors import UnknownName
from robot_learning.rig import load_rig
from robot_learning.sim.panda import TASKS, PandaEnv, make
from robot_learning.sim.registry import names

STATE = {"joint_position", "joint_velocity", "joint_effort", "ee_position", "ee_orientation", "gripper_width"}
ACTIONS = {"action_commanded", "action_gated", "action_executed"}
CUBE = {"cube_position", "cube_orientation"}


@pytest.fixture(scope="module")
def lift() -> PandaEnv:
    return make("lift", cameras=False)


def hold(env) -> np.ndarray:
    """The action that stays where the tool is, gripper open."""
    state = env.robot.observe()
    w, x, y, z = state.ee_orientation
    first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
    second = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]
    return np.array([*state.ee_position, *first, *second, 0.08])


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_succeeds_and_the_gate_has_nothing_to_clip(task):
    env = make(task, cameras=False)
    for seed in range(6):
        steps, success, samples, _ = run(env, seed)
        assert success, seed
        assert steps < env.max_steps / 2
        assert env.gate.trips == {}
        commanded, gated, executed = (
            np.array([s.data for s in samples if s.stream == f"action_{k}"]) for k in ("commanded", "gated", "executed")
        )
        np.testing.assert_allclose(gated, commanded, atol=1e-9)
        np.testing.assert_allclose(executed, gated, atol=0.02)  # where the joints' own speed limits bite


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_trajectory_bit_for_bit_whatever_ran_before(task):
    env = make(task, cameras=False)
    first = run(env, 3, steps=25)
    run(env, 4, steps=10)
    again, other_env = run(env, 3, steps=25), run(make(task, cameras=False), 3, steps=25)
    for other in (again, other_env):
        assert np.array_equal(first[3], other[3])
        for a, b in zip(first[2], other[2], strict=True):
            assert a[:4] == b[:4]
            assert np.array_equal(a.data, b.data)


def test_other_seeds_give_other_starts(lift):
    cubes = []
    for seed in range(20):
        observation, _ = lift.reset(seed=seed)
        cubes.append(observation["cube_position"][:2])
        assert observation["cube_position"][2] == pytest.approx(0.02, abs=1e-4)
    assert len({tuple(c) for c in cubes}) == 20
    assert (np.ptp(cubes, axis=0) > 0.1).all()


def test_samples_come_at_their_streams_own_rates():
    env = make("lift")
    env.reset(seed=0)
    start = env.samples()
    assert {s.stream for s in start} == STATE | CUBE | {"front", "front_depth", "wrist", "wrist_depth"}
    assert all(s.stamp_ns == 0 for s in start)
    samples = []
    for k in range(6):
        env.step(hold(env))
        new = env.samples()
        assert [s.stamp_ns for s in new] == sorted(s.stamp_ns for s in new)
        assert {s.stamp_ns for s in new if s.stream in ACTIONS} == {k * 50_000_000}
        samples += new
    assert env.now_ns == 300_000_000
    assert env.samples() == []
    specs = {s.name: s for s in env.contract.streams}
    assert specs.pop("commander")  # who commands is said by policy_node, where a person may take over
    assert {s.stream for s in samples} == set(specs)
    for name, spec in specs.items():
        mine = [s for s in samples if s.stream == name]
        assert {(s.data.shape, str(s.data.dtype)) for s in mine} == {(spec.shape, spec.dtype)}
        assert len(mine) == round(0.3 * spec.rate_hz), name
        first = 0 if name in ACTIONS else 1
        assert [s.sequence for s in mine] == list(range(first, first + len(mine)))
    assert {s.stamp_ns for s in samples if s.stream == "ee_position"} == set(range(10_000_000, 300_000_001, 10_000_000))
    assert [s.stamp_ns // 1_000_000 for s in samples if s.stream == "wrist_depth"] == [
        34, 67, 100, 134, 167, 200, 234, 267, 300,
    ]  # fmt: skip
    env.close()


def test_the_contract_is_the_rigs_with_the_tasks_objects_and_the_same_without_cameras():
    seeing, blind = make("pick_place"), make("pick_place", cameras=False)
    assert seeing.contract == blind.contract
    rig = load_rig("panda_sim").contract()
    assert {s.name for s in blind.contract.streams} == {s.name for s in rig.streams} | CUBE | {"goal_position"}
    assert blind.contract.feature("cube_orientation").alignment == "slerp"
    assert Contract.model_validate(blind.contract.to_json()) == blind.contract
    assert "front" in seeing.observation_space.spaces
    assert "front" not in blind.observation_space.spaces
    seeing.close()


@pytest.mark.parametrize("cameras", [True, False])
def test_gymnasiums_own_checks_pass(cameras):
    env = make("lift", cameras=cameras)
    check_env(env, skip_render_check=True, skip_close_check=True)
    env.close()


def test_success_of_lift_needs_height_and_a_grip_for_some_steps(lift):
    task = lift._task
    lift.reset(seed=0)
    state, objects = lift.robot.observe(), lift.objects
    high = objects | {"cube_position": state.ee_position.copy()}
    assert state.ee_position[2] > 0.1
    spread = replace(state, gripper_width=np.array([0.08]))
    assert not task.done(high, spread)  # in the air between open fingers: thrown, or a glitch
    gripping = replace(state, gripper_width=np.array([0.04]))
    assert task.done(high, gripping)
    askew = objects | {"cube_position": state.ee_position - [0, 0, 0.03]}
    assert task.done(askew, gripping)
    assert not task.done(objects | {"cube_position": state.ee_position - [0, 0, 0.05]}, gripping)
    assert not task.done(objects, gripping)  # still on the table
    steps, _, samples, _ = run(lift, 0)
    heights = [s.data[2] - 0.02 for s in samples if s.stream == "cube_position"]
    assert heights[-1] > 0.06
    assert sum(h > 0.06 for h in heights[::5]) >= task.hold_steps
    assert steps > 15


def test_success_of_pick_place_needs_the_cube_in_the_bin_and_let_go():
    env = make("pick_place", cameras=False)
    env.reset(seed=0)
    task, objects = env._task, env.objects
    state = replace(env.robot.observe(), gripper_width=np.array([0.08]))
    inside = objects | {"cube_position": objects["goal_position"] + np.array([0.03, -0.03, 0.022])}
    assert task.done(inside, state)
    assert not task.done(objects, state)
    assert not task.done(inside, replace(state, gripper_width=np.array([0.04])))
    assert not task.done(objects | {"cube_position": objects["goal_position"] + np.array([0, 0, 0.2])}, state)


def test_success_of_push_needs_the_cube_at_the_mark():
    env = make("push", cameras=False)
    env.reset(seed=0)
    task, state, objects = env._task, env.robot.observe(), env.objects
    goal = objects["goal_position"]
    assert not task.done(objects, state)
    assert task.done(objects | {"cube_position": goal + np.array([0.012, -0.012, 0.02])}, state)
    assert not task.done(objects | {"cube_position": goal + np.array([0.018, -0.018, 0.02])}, state)
    assert not task.done(objects | {"cube_position": goal + np.array([0, 0, 0.1])}, state)


def test_doing_nothing_is_truncated_without_success(lift):
    lift.reset(seed=0)
    for k in range(lift.max_steps):
        _, reward, terminated, truncated, info = lift.step(hold(lift))
        assert reward == 0
        assert not terminated
        assert not info["success"]
        assert truncated == (k == lift.max_steps - 1)


def test_every_command_goes_through_the_gate(lift):
    lift.reset(seed=0)
    start = lift.robot.observe().ee_position
    lift.step(hold(lift))
    wild = hold(lift)
    wild[:3] += [0.3, 0.3, -1.0]
    for _ in range(10):
        before = lift.robot.observe().ee_position
        _, _, _, _, info = lift.step(wild)
        assert "workspace" in info["trips"]
        moved = np.linalg.norm(lift.robot.observe().ee_position - before)
        assert moved < 1.15 * 0.6 * 0.05  # 0.6 m/s, and a little for the drives
    gated = np.array([s.data for s in lift.samples() if s.stream == "action_gated"])
    assert (np.linalg.norm(np.diff(gated[:, :3], axis=0), axis=1) <= 0.6 * 0.05 + 1e-9).all()
    assert np.linalg.norm(lift.robot.observe().ee_position - start) > 0.1


def test_what_the_gate_refuses_is_not_executed(lift):
    lift.reset(seed=0)
    lift.step(hold(lift))
    lift.samples()
    before = lift.robot.observe().ee_position
    bad = hold(lift)
    bad[0] = np.nan
    _, _, _, _, info = lift.step(bad)
    assert info["trips"] == ["not_finite"]
    by_stream = {s.stream: s.data for s in lift.samples() if s.stream in ACTIONS}
    assert np.isnan(by_stream["action_commanded"][0])
    np.testing.assert_allclose(by_stream["action_gated"][:3], before, atol=1e-3)
    np.testing.assert_allclose(lift.robot.observe().ee_position, before, atol=1e-3)


def test_a_far_first_action_is_refused_and_the_arm_stays(lift):
    lift.reset(seed=0)
    before = lift.robot.observe().ee_position
    far = hold(lift)
    far[1] += 0.2
    _, _, _, _, info = lift.step(far)
    assert info["trips"] == ["first_target"]
    np.testing.assert_allclose(lift.robot.observe().ee_position, before, atol=1e-3)


def test_an_action_of_another_size_is_named(lift):
    lift.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(10,\)"):
        lift.step(np.zeros(8))


def test_a_rig_with_joint_targets_takes_joints_and_its_expert_gives_them():
    rig = load_rig("panda_sim")
    rig = rig.model_copy(update={"robot": rig.robot.model_copy(update={"command": "joint_target"})})
    env = PandaEnv("lift", cameras=False, rig=rig)
    assert env.action_space.shape == (8,)
    successes = [run(env, seed)[1] for seed in range(3)]
    assert all(successes)


def test_the_depth_picture_shows_the_cube_where_it_is():
    env = make("lift")
    observation, _ = env.reset(seed=2)
    camera = env._cameras[0]
    K = intrinsics(env._world, "front", 128, 128)
    np.testing.assert_array_equal(K, camera.intrinsics())
    frame = env._world.data.cam("front")
    top = observation["cube_position"] + np.array([0, 0, 0.02])
    x, y, z = frame.xmat.reshape(3, 3).T @ (top - frame.xpos)
    u, v, depth = K @ np.array([x, -y, -z])
    row, column = int(v / depth), int(u / depth)
    assert abs(int(observation["front_depth"][row, column]) - 1000 * depth) < 8  # within one pixel's slope
    r, g, b = observation["front"][row, column].astype(int)
    assert r > 2 * max(g, b)
    env.close()


def test_the_picture_for_videos_is_colour_and_shows_the_arm(lift):
    lift.reset(seed=0)
    picture = lift.render()
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 25
    assert (picture.min(-1) > 190).sum() > 1000  # the white arm


def test_an_unknown_task_is_named_with_the_closest():
    with pytest.raises(UnknownName, match="lift"):
        make("lft")


def test_the_registry_lists_the_tasks_of_the_panda():
    assert [n for n in names() if n.startswith("panda/")] == [f"panda/{task}" for task in TASKS]
