"""What the arm may be doing, as data: states, events, and what leads where.

A state that holds by itself is left by `RECOVERED` only, and that event has one source: a person's request to recover.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What the arm does; the values are sent over a socket."""

    DISCONNECTED = 0  # nothing known of the robot
    IDLE = 1  # the robot's own controller holds it; nothing of ours is in the loop
    FOLLOWING = 2  # our impedance controller follows targets
    BRAKING = 3  # told to stop: decelerates, then IDLE
    SILENT = 4  # the commanding process fell silent: decelerates, holds
    REFLEX = 5  # the robot stopped itself with an error
    USER_STOPPED = 6  # the operator's stop device, or Desk, holds the robot
    LOST = 7  # the connection broke


class Event(IntEnum):
    """What may happen to it."""

    CONNECTED = 0
    TARGET = 1
    STOP = 2
    AT_REST = 3
    SILENCE = 4
    ERROR = 5  # libfranka ended the motion, or the robot shows an error
    USER_STOP = 6
    CONNECTION_LOST = 7
    RECOVERED = 8


# These keep the robot from moving until somebody has looked at why.
HOLDS = frozenset({State.SILENT, State.REFLEX, State.USER_STOPPED, State.LOST})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DISCONNECTED, Event.CONNECTED): State.IDLE,
    (State.IDLE, Event.TARGET): State.FOLLOWING,
    (State.FOLLOWING, Event.STOP): State.BRAKING,
    (State.FOLLOWING, Event.SILENCE): State.SILENT,
    (State.BRAKING, Event.TARGET): State.FOLLOWING,  # of a later stop's acknowledgement
    (State.BRAKING, Event.AT_REST): State.IDLE,
    **{(state, Event.RECOVERED): State.IDLE for state in HOLDS},
    **{(state, Event.ERROR): State.REFLEX for state in (State.IDLE, State.FOLLOWING, State.BRAKING, State.SILENT)},
    **{
        (state, Event.USER_STOP): State.USER_STOPPED
        for state in (State.IDLE, State.FOLLOWING, State.BRAKING, State.SILENT, State.REFLEX)
    },
    **{(state, Event.CONNECTION_LOST): State.LOST for state in State if state is not State.DISCONNECTED},
}


class Machine:
    """Where the arm is in `TRANSITIONS`.

    Attributes:
        state: now.
        reason: why it holds by itself; the first reason stays until it has recovered.
    """

    def __init__(self) -> None:
        self.state = State.DISCONNECTED
        self.reason = ""

    def on(self, event: Event, reason: str = "") -> bool:
        """Something has happened; whether it changed the state. What has no entry changes nothing."""
        new = TRANSITIONS.get((self.state, event))
        if new is None or new is self.state:
            return False
        if new in HOLDS:
            # The first reason stays, except for a broken connection: recovering begins with that.
            self.reason = reason if new is State.LOST or self.state not in HOLDS else self.reason or reason
        else:
            self.reason = ""
        self.state = new
        return True
