import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_learning.deployment.ensemble import EnsembleScheduler, action_parts, mean_action
from robot_learning.deployment.schedule import TimestampScheduler
from robot_learning.policies.act.config import DECAY
from robot_learning.rig import load_rig
from robot_learning.rig_parts.sections import ExecutionConfig
from robot_learning.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix, rotation_vector_to_matrix

MS = 1_000_000
STEP = 50 * MS
T0 = 1_000_000 * MS


def chunk(first, n=8):
    """Actions that name their own step: first, first + 1, ..."""
    return np.arange(first, first + n, dtype=float)[:, None]


def scheduler(**config):
    return TimestampScheduler(ExecutionConfig(**config), STEP)


def sent(plan, begin_ms, end_ms, every_ms=10):
    """(time [ms], value) of all that is sent while `due` is asked at each tick; held ones have a minus sign."""
    out = []
    for ms in range(begin_ms, end_ms, every_ms):
        action = plan.due(T0 + ms * MS)
        if action is not None:
            out.append((ms, -action.values[0] if action.held else action.values[0]))
    return out


def test_each_action_is_sent_at_its_own_time():
    plan = scheduler()
    assert plan.add(chunk(0, 4), T0 + 100 * MS, T0) == 0
    assert sent(plan, 0, 280) == [(100, 0), (150, 1), (200, 2), (250, 3)]


def test_actions_that_are_late_when_the_chunk_comes_are_dropped():
    plan = scheduler(margin_s=0.01)
    late = plan.add(chunk(0), T0, T0 + 95 * MS)  # 0, 50 are past, 100 is nearer than the margin
    assert late == 3
    assert sent(plan, 100, 200) == [(150, 3)]


def test_commands_go_out_earlier_by_the_actuators_delay():
    plan = scheduler(actuator_delay_s=0.1)
    late = plan.add(chunk(0), T0, T0)
    assert late == 3  # what is meant for now and for 100 ms should have been sent by now, or within the margin
    assert sent(plan, 0, 110) == [(50, 3), (100, 4)]


def test_a_newer_chunk_replaces_what_an_older_one_had_for_later():
    plan = scheduler()
    plan.add(chunk(0), T0, T0 - 20 * MS)
    first = sent(plan, 0, 60)
    plan.add(chunk(100), T0 + 50 * MS, T0 + 85 * MS)  # meant for 50 ms on; there at 85 ms
    assert first + sent(plan, 60, 220) == [(0, 0), (50, 1), (100, 101), (150, 102), (200, 103)]


def test_a_chunk_off_the_grid_never_makes_two_commands_within_half_a_step():
    plan = scheduler()
    plan.add(chunk(0), T0, T0 - 20 * MS)
    plan.add(chunk(100), T0 + 10 * MS, T0 + 20 * MS)
    times = [ms for ms, _ in sent(plan, 0, 300)]
    assert min(np.diff(times)) >= 25


@pytest.mark.parametrize("older_by_ms", [0, 50])
def test_a_chunk_that_is_not_newer_changes_nothing(older_by_ms):
    plan = scheduler()
    plan.add(chunk(0), T0 + 50 * MS, T0)
    assert plan.add(chunk(100), T0 + (50 - older_by_ms) * MS, T0) == 8
    assert [v for _, v in sent(plan, 0, 260)] == [0, 1, 2, 3, 4]


def test_where_all_of_a_chunk_is_late_its_last_action_is_sent_at_the_next_step():
    plan = scheduler()
    assert plan.add(chunk(0, 4), T0, T0 + 405 * MS) == 4
    assert sent(plan, 410, 480) == [(450, 3)]


def test_a_chunk_that_is_all_late_does_not_replace_actions_that_are_still_due():
    plan = scheduler()
    plan.add(chunk(0, 16), T0, T0)
    sent(plan, 0, 301)
    assert plan.add(chunk(100, 2), T0 + 50 * MS, T0 + 310 * MS) == 2
    assert sent(plan, 310, 400) == [(350, 7)]


def test_after_the_last_action_it_is_held_each_step_then_the_plan_ran_dry():
    plan = scheduler(hold_s=0.2)
    plan.add(chunk(0, 2), T0 + 50 * MS, T0)
    assert sent(plan, 0, 1000) == [(50, 0), (100, 1), (150, -1), (200, -1), (250, -1), (300, -1), (350, -1)]
    assert not plan.ran_dry(T0 + 350 * MS)
    assert plan.ran_dry(T0 + 351 * MS)


def test_a_chunk_that_comes_while_the_last_action_is_held_goes_on_from_there():
    plan = scheduler()
    plan.add(chunk(0, 2), T0, T0 - 20 * MS)
    sent(plan, 0, 200)
    plan.add(chunk(50), T0 + 150 * MS, T0 + 210 * MS)
    assert sent(plan, 210, 320) == [(250, 52), (300, 53)]
    assert not plan.ran_dry(T0 + 320 * MS)


def test_without_holding_the_last_action_is_still_sent():
    plan = scheduler(hold_s=0.0)
    plan.add(chunk(7, 1), T0 + 50 * MS, T0)
    assert sent(plan, 3, 200) == [(53, 7)]


def test_a_caller_that_was_held_up_sends_the_newest_and_counts_what_it_skipped():
    plan = scheduler()
    plan.add(chunk(0), T0 + 50 * MS, T0)
    assert plan.due(T0 + 160 * MS).values[0] == 2
    assert plan.skipped == 2


def test_a_caller_that_was_held_up_for_long_sends_nothing_old():
    plan = scheduler(hold_s=0.2)
    plan.add(chunk(0, 4), T0 + 50 * MS, T0)
    assert plan.due(T0 + 2000 * MS) is None
    assert plan.ran_dry(T0 + 2000 * MS)


def test_nothing_is_due_and_nothing_dry_before_the_first_chunk():
    plan = scheduler()
    assert plan.due(T0) is None
    assert not plan.ran_dry(T0 + 10**12)
    assert plan.remaining_s(T0) == 0.0


def test_remaining_time_reaches_to_the_last_action():
    plan = scheduler()
    plan.add(chunk(0, 4), T0 + 50 * MS, T0)
    assert plan.remaining_s(T0) == pytest.approx(0.2)


def test_after_clear_nothing_of_before_is_sent_or_committed():
    plan = scheduler()
    plan.add(chunk(0), T0, T0)
    plan.due(T0 + 50 * MS)
    plan.clear()
    assert sent(plan, 50, 900) == []
    assert plan.committed(T0, 4) is None
    plan.add(chunk(0), T0, T0)  # and a chunk of an older stamp is taken: time may have been set back
    assert plan.remaining_s(T0) > 0


def test_what_is_committed_is_what_was_and_will_be_sent_from_that_time_on():
    plan = scheduler()
    plan.add(chunk(0, 6), T0, T0 - 20 * MS)
    sent(plan, 0, 120)  # 0, 1, 2 are sent
    assert plan.committed(T0 + 100 * MS, 3)[:, 0].tolist() == [2, 3, 4]
    assert plan.committed(T0 + 100 * MS, 99)[:, 0].tolist() == [2, 3, 4, 5]
    assert plan.committed(T0 + 300 * MS, 3) is None


def test_what_is_committed_counts_the_actuators_delay():
    plan = scheduler(actuator_delay_s=0.1)
    plan.add(chunk(0, 8), T0, T0 - 120 * MS)
    assert plan.committed(T0 + 50 * MS, 2)[:, 0].tolist() == [1, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12)), min_size=1, max_size=12),
    st.lists(st.integers(1, 120), min_size=20, max_size=60),
)
def test_whatever_the_delays_commands_are_in_order_and_never_before_their_time(replies, ticks):
    """Chunks asked for each 100 ms, answered with any delay; ticks at any distance."""
    plan, now, last_stamp = scheduler(), T0, 0
    arriving = [(T0 + (i * 100 + delay) * MS, T0 + i * 100 * MS, n) for i, (delay, n) in enumerate(replies)]
    arriving.sort()
    dues = []
    for tick in ticks:
        now += tick * MS
        while arriving and arriving[0][0] <= now:
            _, stamp, n = arriving.pop(0)
            plan.add(np.full((n, 1), float(stamp)), stamp, now)
        action = plan.due(now)
        if action is None:
            continue
        assert action.due_ns <= now
        assert action.values[0] >= last_stamp  # never back to an older observation's plan
        last_stamp = action.values[0]
        dues.append(action.due_ns)
    assert all(b - a >= STEP // 2 for a, b in itertools.pairwise(dues))


PANDA = action_parts(load_rig("panda_sim").contract(), ["action"])


def test_the_units_of_an_action_come_from_the_contract():
    assert PANDA == (("m", 3), ("rotation_6d", 6), ("m", 1))


def test_an_ensemble_weights_the_oldest_chunk_most():
    plan = EnsembleScheduler(ExecutionConfig(), STEP, (("m", 1),))
    plan.add(np.zeros((8, 1)), T0, T0 - 20 * MS)
    plan.add(np.full((8, 1), 1.0), T0 + 50 * MS, T0 + 50 * MS)
    plan.add(np.full((8, 1), 2.0), T0 + 100 * MS, T0 + 100 * MS)
    w = np.exp(-DECAY * np.arange(3))
    by_time = dict(sent(plan, 110, 560, 10))
    assert by_time[150] == pytest.approx((w[1] + 2 * w[2]) / w.sum())
    assert by_time[400] == pytest.approx((w[0] + 2 * w[1]) / w[:2].sum())  # the first chunk no longer reaches there
    assert by_time[450] == 2.0


def test_an_ensemble_keeps_older_chunks_where_the_newest_is_too_late():
    plan = EnsembleScheduler(ExecutionConfig(), STEP, (("m", 1),))
    plan.add(np.zeros((8, 1)), T0, T0 - 20 * MS)
    plan.add(np.full((8, 1), 1.0), T0 + 50 * MS, T0 + 190 * MS)
    by_time = dict(sent(plan, 100, 260))
    assert by_time[150] == 0.0
    assert 0 < by_time[250] < 0.5


def test_a_mean_of_rotations_is_a_rotation_between_them():
    def action(angle):
        r = matrix_to_rotation_6d(rotation_vector_to_matrix(np.array([0.0, 0.0, angle])))
        return np.concatenate([[0.5, 0.0, 0.3], r, [0.08]])

    mean = mean_action(np.stack([action(0.2), action(0.6)]), np.ones(2), PANDA)
    assert mean[3:9] == pytest.approx(action(0.4)[3:9])
    matrix = rotation_6d_to_matrix(mean[3:9])
    assert matrix.T @ matrix == pytest.approx(np.eye(3))
    assert np.linalg.norm(mean[3:6]) == pytest.approx(1) == pytest.approx(np.linalg.norm(mean[6:9]))


def test_a_mean_of_quaternions_does_not_depend_on_their_sign_and_angles_wrap():
    q = np.array([[1.0, 0.0, 0.0, 0.0], [-np.cos(0.1), -np.sin(0.1), 0.0, 0.0]])
    mean = mean_action(q, np.ones(2), (("quaternion_wxyz", 4),))
    assert mean == pytest.approx([np.cos(0.05), np.sin(0.05), 0, 0])
    wrapped = mean_action(np.array([[3.1], [-3.1]]), np.ones(2), (("angle_rad", 1),))
    assert abs(wrapped[0]) == pytest.approx(np.pi)
