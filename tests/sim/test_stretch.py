"""The simulated Stretch's task and its expert."""

from dataclasses import replace

import numpy as np
import pytest
from expert_run import run
from gymnasium.utils.env_checker import check_env

from robot_learning.drivers.mujoco.camera import intrinsics
from robot_learning.drivers.mujoco.stretch import TABLE_M
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig import load_rig, parse_rig
from robot_learning.sim.kinds import kind_of
from robot_learning.sim.registry import make as make_named
from robot_learning.sim.registry import names
from robot_learning.sim.rig_env import RigEnv
from robot_learning.sim.station import task_of
from robot_learning.sim.stretch import KIND, TASKS, make
from robot_learning.sim.stretch_expert import StretchExpert
from robot_learning.topics import action_names

CUBE = {"cube_position", "cube_orientation", "table_heading"}


@pytest.fixture(scope="module")
def pick():
    return make("pick", cameras=False)


def changed(**sections):
    """The rig's file with sections changed."""
    import yaml

    from robot_learning.rig import rig_path

    content = yaml.safe_load(rig_path("stretch_sim").read_text())
    for section, values in sections.items():
        content[section] |= values
    return parse_rig(content, "test")


def hold(env):
    """The action that stays where the robot is, gripper open."""
    return np.concatenate([env.robot.observe().joint_position, [0.09, 0.0, 0.0]])


def test_the_expert_succeeds_with_all_parts_of_the_robot_and_the_gate_has_nothing_to_clip(pick):
    travels = []
    for seed in range(8):
        steps, success, samples, actions = run(pick, seed)
        assert success, seed
        assert steps < pick.max_steps / 2
        assert pick.gate.trips == {}
        commanded, gated = (
            np.array([s.data for s in samples if s.stream == f"action_{k}"]) for k in ("commanded", "gated")
        )
        np.testing.assert_allclose(gated, commanded, atol=1e-9)
        travels.append(
            [*np.ptp(actions[:, :2], axis=0), *np.abs([s.data for s in samples if s.stream == "base_pose"][-1])]
        )
    travels = np.median(travels, axis=0)  # lift, arm, base x, y, heading
    assert travels[0] > 0.05
    assert travels[1] > 0.03
    assert travels[2] > 0.02
    assert travels[4] > 0.02


def test_a_seed_gives_the_same_trajectory_bit_for_bit_whatever_ran_before(pick):
    first = run(pick, 3, steps=20)
    run(pick, 4, steps=10)
    again, other = run(pick, 3, steps=20), run(make("pick", cameras=False), 3, steps=20)
    for repeated in (again, other):
        assert np.array_equal(first[3], repeated[3])
        for a, b in zip(first[2], repeated[2], strict=True):
            assert a[:4] == b[:4]
            assert np.array_equal(a.data, b.data)


def test_starts_differ_by_seed_and_the_rigs_spread_narrows_them(pick):
    def starts(env):
        found = []
        for seed in range(20):
            observation, _ = env.reset(seed=seed)
            assert observation["cube_position"][2] == pytest.approx(TABLE_M + 0.02, abs=1e-3)
            found.append(np.append(observation["cube_position"][:2], observation["joint_position"]))
        return np.ptp(found, axis=0)

    whole = starts(pick)
    assert (whole[:2] > 0.1).all()
    narrow = starts(RigEnv(KIND, "pick", False, changed(simulation={"spread": 0.25})))
    assert (narrow < 0.5 * whole).all()
    fixed = starts(RigEnv(KIND, "pick", False, changed(simulation={"spread": 0.0})))
    np.testing.assert_allclose(fixed, 0, atol=1e-9)


def test_the_contract_names_joints_gripper_base_and_the_tasks_own_streams(pick):
    rig = load_rig("stretch_sim")
    assert action_names(rig)[-3:] == ("gripper_width", "base_forward", "base_turn")
    streams = {spec.name: spec for spec in pick.contract.streams}
    assert streams["action_gated"].shape == pick.action_space.shape == (10,)
    assert set(streams) >= CUBE | {"base_pose", "base_velocity"}
    assert "joint_effort" not in streams
    pick.reset(seed=0)
    given = {s.stream for s in pick.samples()}
    assert given == {name for name, spec in streams.items() if spec.unit not in ("rgb", "depth_mm")} - {
        "action_commanded", "action_gated", "action_executed", "commander",
    }  # fmt: skip


def test_it_is_the_twin_of_the_real_stretchs_rig():
    real, simulated = load_rig("stretch_se3"), load_rig("stretch_sim")
    assert simulated.robot.joint_names == real.robot.joint_names
    assert simulated.robot.joint_units == real.robot.joint_units
    assert action_names(simulated) == action_names(real)


def test_gymnasiums_own_checks_pass():
    env = make("pick", cameras=False)
    check_env(env, skip_render_check=True, skip_close_check=True)


def test_success_needs_height_and_a_grip(pick):
    task = pick._task
    pick.reset(seed=0)
    state, objects = pick.robot.observe(), pick.objects
    high = objects | {"cube_position": np.array([*state.ee_position[:2], TABLE_M + 0.10])}
    at_it = replace(state, ee_position=high["cube_position"], gripper_width=np.array([0.04]))
    assert task.done(high, at_it)
    assert not task.done(high, replace(at_it, gripper_width=np.array([0.09])))
    assert not task.done(objects, replace(at_it, ee_position=objects["cube_position"]))  # still on the table
    assert not task.done(high, replace(at_it, ee_position=high["cube_position"] + [0, 0, 0.06]))


def test_objects_are_seen_from_the_base_which_moves(pick):
    pick.reset(seed=1)
    before = pick.objects
    for _ in range(12):
        action = hold(pick)
        action[-2:] = 0.15, 0.0
        pick.step(action)
    state, after = pick.robot.observe(), pick.objects
    np.testing.assert_allclose(before["cube_position"] - after["cube_position"], [state.base_pose[0], 0, 0], atol=2e-3)
    for _ in range(12):
        action = hold(pick)
        action[-2:] = 0.0, 0.3
        pick.step(action)
    turned = pick.robot.observe().base_pose[2]
    assert turned > 0.2
    assert pick.objects["table_heading"][0] == pytest.approx(before["table_heading"][0] - turned, abs=5e-3)


def test_doing_nothing_is_truncated_without_success(pick):
    pick.reset(seed=0)
    for k in range(pick.max_steps):
        _, reward, terminated, truncated, _ = pick.step(hold(pick))
        assert (reward, terminated, truncated) == (0, False, k == pick.max_steps - 1)


def test_the_bases_speed_goes_through_the_gate(pick):
    pick.reset(seed=0)
    wild = hold(pick)
    wild[-2:] = 3.0, -5.0
    for _ in range(6):
        _, _, _, _, info = pick.step(wild)
        assert "base_speed" in info["trips"]
    assert abs(pick.robot.observe().base_velocity[0]) < 0.2 * 1.05


def test_both_cameras_see_the_cube_where_it_is():
    env = make("pick")
    observation, _ = env.reset(seed=0)
    expert = env.expert()
    expert.reset()
    for _ in range(8):  # the head turns to it
        observation, *_ = env.step(expert.act())
    for name in ("head", "wrist"):
        K, frame = intrinsics(env._world, name, 128, 128), env._world.data.cam(name)
        top = env._world.data.body("cube").xpos + np.array([0, 0, 0.02])
        x, y, z = frame.xmat.reshape(3, 3).T @ (top - frame.xpos)
        u, v, depth = K @ np.array([x, -y, -z])
        row, column = int(v / depth), int(u / depth)
        patch = observation[name][max(0, row - 3) : row + 4, max(0, column - 3) : column + 4].reshape(-1, 3).astype(int)
        assert (patch[:, 0] > 2 * patch[:, 1:].max(axis=1)).any(), name
    env.close()


def test_names_and_mistakes():
    assert [n for n in names() if n.startswith("stretch/")] == [f"stretch/{task}" for task in TASKS]
    env = make_named("rig/stretch_sim", cameras=False)
    assert (env.name, env.task) == ("rig/stretch_sim", "pick up the red cube from the table")
    with pytest.raises(UnknownName, match="unknown stretch task 'lift'"):
        task_of(changed(simulation={"task": "lift"}))
    with pytest.raises(UnknownName, match="unknown panda task 'pick'"):
        kind_of(load_rig("panda_sim")).task("pick", 1.0)
    with pytest.raises(ConfigError, match="stretch_se3 is not simulated"):
        kind_of(load_rig("stretch_se3"))
    with pytest.raises(ConfigError, match="command: joint_target and base: true"):
        StretchExpert(load_rig("panda_sim"), task_of(load_rig("panda_sim")))
