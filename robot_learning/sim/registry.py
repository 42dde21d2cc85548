"""Names of simulated tasks, each to the function that makes it; the libraries behind them load on use."""

from __future__ import annotations

from collections.abc import Sequence

from robot_learning.errors import unknown_name
from robot_learning.sim.base import SimEnv
