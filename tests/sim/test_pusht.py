import conformance
import numpy as np
import pytest

from robot_learning.data.layouts import PUSHT, pusht_mirrored
from robot_learning.errors import UserError
from robot_learning.policies.view import choose_observations
from robot_learning.sim.registry import make


@pytest.fixture
def env():
    env = make("pusht", cameras=False)
    yield env
    env.close()


def place(env, agent, block, angle):
    """Put disc and block somewhere, at rest."""
    env.reset(seed=0)
    inner = env._env
    inner.agent.position, inner.agent.velocity = agent, (0, 0)
    inner.block.angle = angle
    inner.block.position, inner.block.velocity, inner.block.angular_velocity = block, (0, 0), 0
    for body in (inner.agent, inner.block):
        inner.space.reindex_shapes_for_body(body)


def test_it_keeps_what_every_task_promises():
    env = make("pusht")
    assert env.contract == PUSHT
    conformance.check_samples(env)
    env.close()


def test_a_seed_decides_the_episode(env):
    conformance.check_seeds(env)


def test_bad_actions_are_refused(env):
    conformance.check_refusals(env)


def test_without_cameras_nothing_is_rendered(env):
    conformance.check_without_cameras(env, PUSHT)


def test_the_disc_goes_where_it_is_told_and_an_action_off_the_board_is_clipped(env):
    place(env, (100, 100), (300, 300), 0.0)
    for _ in range(20):
        observation, *_ = env.step([60.0, -50.0])
    assert observation["agent_position"] == pytest.approx([60, 0], abs=25)  # the wall is at 5, the disc's radius 15
    executed = [s.data for s in env.samples() if s.stream == "action_executed"]
    assert np.array_equal(executed[-1], [60.0, 0.0])


def test_a_block_on_its_outline_is_success(env):
    place(env, (30, 30), (256, 256), np.pi / 4)
    _, reward, terminated, truncated, info = env.step([30.0, 30.0])
    assert info["coverage"] == pytest.approx(1.0, abs=1e-3)
    assert (reward, terminated, truncated, info["success"], info["score"]) == (1.0, True, False, True, 1.0)


def test_the_score_is_the_best_of_the_episode(env):
    place(env, (30, 30), (256, 226), np.pi / 4)
    near = env.step([30.0, 30.0])[4]
    assert 0.3 < near["coverage"] < 0.95
    assert near["score"] == pytest.approx(near["coverage"] / 0.95)
    env._env.block.position = (100, 400)
    env._env.space.reindex_shapes_for_body(env._env.block)
    far = env.step([30.0, 30.0])[4]
    assert far["coverage"] < near["coverage"]
    assert far["score"] == near["score"]


def test_it_ends_after_300_steps(env):
    place(env, (30, 30), (256, 300), 0.0)
    for _ in range(299):
        assert not env.step([30.0, 30.0])[3]
    assert env.step([30.0, 30.0])[3]


def test_keypoints_lie_on_the_block(env):
    place(env, (30, 30), (200, 300), 0.7)
    env.step([30.0, 30.0])
    values = {s.stream: s.data for s in env.samples()}
    shapes = env._env.block.shapes
    for x, y in values["keypoint"]:
        assert min(s.point_query((x, y)).distance for s in shapes) < 3.0  # the outermost ones stand on the edge
    assert values["block_angle"] == pytest.approx([0.7])


def test_it_has_no_expert_and_says_so(env):
    with pytest.raises(UserError, match="no scripted expert"):
        env.expert()


def test_the_mirror_image_of_an_episode_is_an_episode():
    rng = np.random.default_rng(0)
    actions = np.clip(256 + np.cumsum(rng.normal(0, 40, (60, 2)), axis=0), 30, 480)

    def played(start, actions):
        """Streams of the episode that begins at `start`, at rest, and how much of the outline the block covers then."""
        env = make("pusht")
        first = {name: start[name][0].tolist() for name in ("agent_position", "block_position", "block_angle")}
        place(env, tuple(first["agent_position"]), tuple(first["block_position"]), first["block_angle"][0])
        rows = []
        for action in actions:
            env.step(action)
            rows.append(env._measure())
        env.close()
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}, env._info["coverage"]

    start = {
        "agent_position": np.array([[256.0, 256.0]]),
        "block_position": np.array([[200.0, 300.0]]),
        "block_angle": np.array([[1.0]]),
    }
    straight, coverage = played(start, actions)
    assert straight["contacts"].max() > 0  # it was pushed
    assert np.abs(np.diff(straight["block_angle"], axis=0)).max() > 1e-3
    flipped = pusht_mirrored(start | {"action_gated": actions})
    other, other_coverage = played(flipped, flipped["action_gated"])
    wanted = pusht_mirrored(straight)
    for name in ("agent_position", "block_position", "block_angle", "keypoint"):
        assert np.allclose(other[name], wanted[name], atol=0.01), name
    assert other_coverage == pytest.approx(coverage, abs=1e-3)
    unlike = np.abs(other["image"].astype(int) - wanted["image"]).max(axis=-1) > 64
    assert unlike.mean() < 0.02  # edges, drawn to the next pixel


def test_a_policy_from_images_is_not_told_where_the_block_is():
    assert choose_observations(PUSHT, None, images=True) == ("agent_position", "image")
