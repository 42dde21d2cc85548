import os
import subprocess
import sys

import conformance
import numpy as np
import pytest

from robot_learning.errors import UserError
from robot_learning.rotation import quaternion_to_matrix
from robot_learning.sim.registry import make
from robot_learning.sim.robosuite import TASKS


@pytest.fixture(scope="module")
def lift():
    env = make("robosuite/Lift")
    yield env
    env.close()


@pytest.fixture(scope="module")
def blind():
    env = make("robosuite/Lift", cameras=False)
    yield env
    env.close()


def test_it_keeps_what_every_task_promises(lift):
    conformance.check_samples(lift)


def test_a_seed_decides_the_episode(blind):
    conformance.check_seeds(blind)


def test_bad_actions_are_refused(blind):
    conformance.check_refusals(blind)


def test_without_cameras_nothing_is_rendered(blind, lift):
    conformance.check_without_cameras(blind, lift.contract)


def test_the_expert_lifts_the_cube(blind):
    expert = blind.expert()
    for seed in (0, 1, 2):
        blind.reset(seed=seed)
        expert.reset()
        for _ in range(100):
            action = expert.act()
            assert blind.action_space.contains(action)
            end, _, terminated, _, _ = blind.step(action)
            if terminated:
                break
        assert terminated
        assert end["objects"][2] > 0.84  # the table's top is at 0.8


def test_an_action_moves_the_tool_in_the_base_frame(blind):
    start, _ = blind.reset(seed=0)
    for _ in range(10):
        end, *_ = blind.step(np.array([0, 1.0, 0, 0, 0, 0, -1]))
    moved = end["ee_position"] - start["ee_position"]
    assert moved[1] > 0.05
    assert np.abs(moved[[0, 2]]).max() < 0.3 * moved[1]


def test_the_tool_points_down_and_its_quaternion_is_scalar_first(blind):
    start, _ = blind.reset(seed=0)
    assert np.linalg.norm(start["ee_orientation"]) == pytest.approx(1)
    assert quaternion_to_matrix(start["ee_orientation"])[2, 2] < -0.95


def test_images_are_upright_and_depth_is_metric(lift):
    observation, _ = lift.reset(seed=0)
    depth = observation["agentview_depth"].astype(float)
    # The camera looks down at the table from in front: the table's far edge is above its near one.
    assert depth[35, 42] > depth[75, 42]
    scene = lift._scene
    pose, camera = scene.data.camera("agentview"), scene.model.camera("agentview")
    size = depth.shape[0]
    f = size / 2 / np.tan(np.deg2rad(camera.fovy[0]) / 2)
    row, column = 75, 20
    direction = np.array([(column + 0.5 - size / 2) / f, -(row + 0.5 - size / 2) / f, -1.0])
    ray = pose.xmat.reshape(3, 3) @ direction
    table_top = 0.8
    assert depth[row, column] == pytest.approx(1000 * (table_top - pose.xpos[2]) / ray[2], rel=0.01)


def test_tasks_without_an_expert_say_so():
    assert set(TASKS) >= {"Lift", "Can", "Square", "Door"}
    env = make("robosuite/Door", cameras=False)
    conformance.check_without_cameras(env, env.contract)
    with pytest.raises(UserError, match="no scripted expert"):
        env.expert()
    env.close()


def test_without_a_display_it_renders_and_says_nothing_of_its_own():
    code = "from robot_learning.sim.registry import make; env = make('robosuite/Stack'); env.reset(seed=0); env.close()"
    bare = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=bare)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
