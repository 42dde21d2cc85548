import itertools

import conformance
import mujoco
import numpy as np
import pytest

from robot_learning.sim.metaworld import CONTRACT, TASKS
from robot_learning.sim.registry import make

FAMILIES = ("reach-v3", "drawer-open-v3", "pick-place-v3", "peg-insert-side-v3")


@pytest.fixture(params=FAMILIES)
def env(request):
    env = make(f"metaworld/{request.param}", cameras=False)
    yield env
    env.close()


@pytest.fixture
def seeing():
    env = make("metaworld/drawer-open-v3")
    yield env
    env.close()


def test_all_fifty_tasks_are_offered_each_with_an_expert():
    from metaworld.env_dict import ENV_CLS_MAP
    from metaworld.policies import ENV_POLICY_MAP

    assert len(TASKS) == 50
    assert set(TASKS) == set(ENV_CLS_MAP) == set(ENV_POLICY_MAP)


def test_a_seed_decides_the_episode(env):
    conformance.check_seeds(env)


def test_bad_actions_are_refused(env):
    conformance.check_refusals(env)


def test_all_tasks_have_one_contract_and_without_cameras_nothing_is_rendered(env):
    conformance.check_without_cameras(env, CONTRACT)


def test_the_expert_succeeds_within_the_action_space(env):
    expert = env.expert()
    for seed in (0, 1):
        env.reset(seed=seed)
        expert.reset()
        terminated = truncated = False
        while not (terminated or truncated):
            action = expert.act()
            assert env.action_space.contains(action)
            *_, terminated, truncated, info = env.step(action)
        assert info["success"], f"{env.name} seed {seed}"


def test_it_keeps_what_every_task_promises(seeing):
    conformance.check_samples(seeing)


def test_the_goal_is_seen_and_is_where_reaching_succeeds():
    env = make("metaworld/reach-v3", cameras=False)
    observation, _ = env.reset(seed=4)
    goal = observation["goal_position"]
    assert np.linalg.norm(goal) > 0.1
    for _ in range(200):
        action = np.append(np.clip(10 * (goal - observation["ee_position"]), -1, 1), 0.0)
        observation, _, terminated, _, _ = env.step(action)
        if terminated:
            break
    assert terminated
    assert np.linalg.norm(observation["ee_position"] - goal) < 0.08
    env.close()


def test_the_image_is_upright(seeing):
    observation, _ = seeing.reset(seed=0)
    depth = observation["corner2_depth"].astype(float)
    # Sky at the top, which returns nothing; then the table runs towards the camera.
    assert np.median(depth[:20]) == 0
    assert np.median(depth[55:65, 50:80]) > 1.2 * np.median(depth[-10:])


def test_depth_agrees_with_rays_cast_through_the_pixels(seeing):
    observation, _ = seeing.reset(seed=0)
    model, data = seeing._env.model, seeing._env.data
    depth, camera = observation["corner2_depth"], model.camera("corner2")
    size = depth.shape[0]
    f = size / 2 / np.tan(np.deg2rad(camera.fovy[0]) / 2)
    pose = data.camera("corner2")
    compared = 0
    for row, column in itertools.product(range(40, 125, 12), repeat=2):
        around = depth[row - 1 : row + 2, column - 1 : column + 2].astype(float)
        if np.ptp(around) > 60:  # an edge: a ray through the middle may go by
            continue
        # The image was turned by half a turn, so its right and down are the camera's left and up.
        direction = np.array([-(column + 0.5 - size / 2) / f, (row + 0.5 - size / 2) / f, -1.0])
        ray = pose.xmat.reshape(3, 3) @ direction
        drawn, hit = np.array([1, 1, 1, 0, 0, 0], np.uint8), np.zeros(1, np.int32)
        distance = mujoco.mj_ray(model, data, pose.xpos, ray / np.linalg.norm(ray), drawn, 1, -1, hit)
        z = 1000 * distance / np.linalg.norm(ray) if distance > 0 else 0
        assert depth[row, column] == pytest.approx(z, abs=max(5.0, np.ptp(around)))
        compared += 1
    assert compared >= 20
