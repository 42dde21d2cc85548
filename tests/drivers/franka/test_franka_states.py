"""What a Franka may do after what: the table of its states, and the words for its errors."""

import pytest

from robot_learning.drivers.franka import errors
from robot_learning.drivers.franka.states import HOLDS, TRANSITIONS, Event, Machine, State


def led(*events):
    """A machine to which these have happened; an event, or an event and its reason."""
    machine = Machine()
    for event in events:
        machine.on(*event) if isinstance(event, tuple) else machine.on(event)
    return machine


def test_from_connecting_to_following_to_rest():
    machine = led(Event.CONNECTED)
    assert machine.state is State.IDLE
    for event, state in (
        (Event.TARGET, State.FOLLOWING),
        (Event.STOP, State.BRAKING),
        (Event.AT_REST, State.IDLE),
        (Event.STOP, State.IDLE),
        (Event.TARGET, State.FOLLOWING),
    ):
        machine.on(event)
        assert machine.state is state
        assert machine.reason == ""


@pytest.mark.parametrize("state", sorted(HOLDS))
def test_nothing_but_a_recovery_lets_a_robot_move_that_holds_by_itself(state):
    leads_on = {event: new for (old, event), new in TRANSITIONS.items() if old is state and new not in HOLDS}
    assert leads_on == {Event.RECOVERED: State.IDLE}


def test_only_a_robot_that_holds_can_recover():
    assert {state for state, event in TRANSITIONS if event is Event.RECOVERED} == HOLDS


def test_a_target_is_followed_from_idle_or_braking_only():
    assert {state for state, event in TRANSITIONS if event is Event.TARGET} == {State.IDLE, State.BRAKING}


@pytest.mark.parametrize("state", [State.IDLE, State.FOLLOWING, State.BRAKING, State.SILENT])
def test_errors_and_a_users_stop_and_a_broken_connection_are_heeded_in_every_state(state):
    assert TRANSITIONS[state, Event.ERROR] is State.REFLEX
    assert TRANSITIONS[state, Event.USER_STOP] is State.USER_STOPPED
    assert TRANSITIONS[state, Event.CONNECTION_LOST] is State.LOST


def test_the_first_reason_stays_until_it_has_recovered():
    machine = led(Event.CONNECTED, Event.TARGET, (Event.ERROR, "a collision"), (Event.USER_STOP, "a button"))
    assert (machine.state, machine.reason) == (State.USER_STOPPED, "a collision")
    machine.on(Event.RECOVERED)
    assert (machine.state, machine.reason) == (State.IDLE, "")


def test_a_broken_connection_is_what_recovering_begins_with():
    machine = led(Event.CONNECTED, (Event.ERROR, "a collision"), (Event.CONNECTION_LOST, "no cable"))
    assert (machine.state, machine.reason) == (State.LOST, "no cable")


def test_what_changes_nothing_says_so():
    machine = led(Event.CONNECTED)
    assert not machine.on(Event.AT_REST)
    assert machine.on(Event.TARGET)
    assert not machine.on(Event.TARGET)


class SomeErrors:
    joint_reflex = True
    cartesian_reflex = False
    communication_constraints_violation = True
    of_a_later_libfranka = True


def test_errors_travel_as_a_number_and_come_out_with_what_to_do():
    found = errors.names(errors.mask(SomeErrors))
    assert found == ["joint_reflex", "communication_constraints_violation"]
    text = errors.explain(found)
    assert "collision" in text
    assert "doctor --rig" in text
    assert errors.explain([]) == ""


def test_each_error_fits_into_the_packet_and_says_what_to_do():
    assert len(errors.NAMES) <= 64
    for meaning, remedy in errors.ERRORS.values():
        assert meaning
        assert remedy


def test_the_guide_lists_each_error():
    from pathlib import Path

    guide = (Path(__file__).parents[3] / "docs/hardware/franka.md").read_text()
    assert [name for name in errors.NAMES if f"`{name}`" not in guide] == []
