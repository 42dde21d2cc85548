"""A point that goes around an obstacle, left or right: the smallest task with two right answers.

What demonstrations show at the start has the mean of the two, which leads into the obstacle: a policy that
regresses to the mean fails, one that samples does not (the argument of Florence et al., CoRL 2021, fig. 1, and of
Chi et al., RSS 2023, sec. IV-A).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from robot_learning.sim.adapter import Adapter, build_contract

TASKS = ("two_way",)
RATE_HZ = 10.0
GOAL_M = np.array([0.0, 0.4])
OBSTACLE_M = np.array([0.0, 0.0])
RADIUS_M = 0.12  # of the obstacle
REACHED_M = 0.03
HALF_M = 0.5  # half the side of the board
_START_M = np.array([0.0, -0.4])
_START_SPREAD_M = 0.02
_STEP_M = 0.03  # longest way of one period
_MAX_STEPS = 80
_SUBSTEPS = 10
_PICTURE_PX = 256
_GREY, _GREEN, _RED, _BLUE, _WHITE = (120, 120, 120), (60, 160, 80), (200, 60, 50), (50, 90, 200), (255, 255, 255)

CONTRACT = build_contract(
    rig="two_way",
    robot="point",
    rate_hz=RATE_HZ,
    states=(("position", (2,), "m"),),
    privileged=(),
    cameras=(),
    size=(0, 0),
    action=((2,), "m"),
)
"""Frame `world`: x to the right, y ahead, the obstacle's centre in the origin.

- position (2) [m] of the point; starts at about (0, -0.4), is to reach (0, 0.4).
- action (2) [m]: where the point should be one period later; it comes 3 cm closer at most.
"""

Side = Literal["left", "right"]


class TwoWayEnv(Adapter):
    """Success is to be within 3 cm of the goal. To touch the obstacle ends the episode as a failure.

    Attributes:
        path: positions (2,) [m] of this episode, the first where it began.
        side: on which side the point passed the obstacle; None: it has not yet.
    """

    def __init__(self, cameras: bool) -> None:
        board = np.full(2, -HALF_M), np.full(2, HALF_M)
        super().__init__("two_way", "go around the obstacle to the goal", CONTRACT, board, _MAX_STEPS, cameras)

    def _begin(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.position = _START_M + self.rng.uniform(-_START_SPREAD_M, _START_SPREAD_M, 2)
        self.path = [self.position.copy()]
        self.side: Side | None = None

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        observation, reward, terminated, truncated, info = super().step(action)
        touched = info["touched"]
        return observation, reward, terminated or touched, truncated and not touched, info

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, dict[str, Any]]:
        way = np.clip(action, -HALF_M, HALF_M) - self.position
        way *= min(1.0, _STEP_M / max(float(np.hypot(*way)), 1e-12))
        executed, touched = self.position + way, False
        for _ in range(_SUBSTEPS):
            ahead = self.position + way / _SUBSTEPS
            if touched := bool(np.hypot(*(ahead - OBSTACLE_M)) < RADIUS_M):
                break
            if self.side is None and self.position[1] < OBSTACLE_M[1] <= ahead[1]:
                self.side = "left" if ahead[0] < OBSTACLE_M[0] else "right"
            self.position = ahead
        self.path.append(self.position.copy())
        success = bool(np.hypot(*(self.position - GOAL_M)) < REACHED_M)
        return executed, float(success), {"success": success, "touched": touched, "side": self.side}

    def _measure(self) -> dict[str, np.ndarray]:
        return {"position": self.position.copy()}

    def _elapsed_s(self) -> float:
        return (len(self.path) - 1) / RATE_HZ

    def expert(self) -> TwoWayExpert:
        return TwoWayExpert(self)

    def render(self) -> np.ndarray:
        """The board from above with the path so far, (256, 256, 3)."""
        picture = np.full((_PICTURE_PX, _PICTURE_PX, 3), _WHITE, np.uint8)
        metres = (np.arange(_PICTURE_PX) + 0.5) / _PICTURE_PX * 2 * HALF_M - HALF_M
        x, y = np.meshgrid(metres, -metres)
        discs = [(GOAL_M, REACHED_M, _GREEN), (OBSTACLE_M, RADIUS_M, _GREY)]
        discs += [(p, 0.005, _BLUE) for p in self.path] + [(self.position, 0.015, _RED)]
        for (cx, cy), radius, colour in discs:
            picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = colour
        return picture


class TwoWayExpert:
    """Tosses a coin for the side, passes the obstacle there, and goes to the goal, with a little wander.

    The coin comes from the episode's generator after its start was drawn: starts tell nothing of it.
    """

    _BESIDE_M = 0.21  # of the obstacle's centre
    _SPEED = 0.9  # share of the longest way of a period
    _WANDER_M = 0.003
    _TURN_M = 0.06  # goes straight ahead while it is this near to being level with the obstacle's centre

    def __init__(self, env: TwoWayEnv) -> None:
        self._env = env

    def reset(self) -> None:
        """Toss the coin."""
        self._sign = float(self._env.rng.choice([-1.0, 1.0]))

    def act(self) -> np.ndarray:
        """Where to be one period later (2,) [m]."""
        position = self._env.position
        way = self._aim(position[1]) - position
        way = way * min(1.0, self._SPEED * _STEP_M / max(float(np.hypot(*way)), 1e-12))
        return position + way + self._env.rng.normal(0, self._WANDER_M, 2)

    def _aim(self, y: float) -> np.ndarray:
        """The point beside the obstacle, then straight ahead past it, then the goal."""
        if y > OBSTACLE_M[1] + self._TURN_M:
            return GOAL_M
        ahead = 0.0 if y < OBSTACLE_M[1] - self._TURN_M else 2 * RADIUS_M
        return OBSTACLE_M + np.array([self._sign * self._BESIDE_M, ahead])


def make(task: str, cameras: bool = True) -> TwoWayEnv:
    """The only task; there are no cameras."""
    return TwoWayEnv(cameras)
