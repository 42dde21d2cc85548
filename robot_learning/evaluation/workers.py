"""Rollouts in several processes: each has its own policy, environments and one torch thread.

Seeds are cut into fixed groups before anything runs, and a group is rolled out together by one
worker. So the result depends on the group size (to the rounding of a matrix product) but not on
the number of workers or on which of them was quicker.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from robot_learning.errors import UserError
from robot_learning.evaluation.rollout import Episode


@dataclass(frozen=True)
class Task:
    """What every worker needs to know.

    Attributes:
        checkpoint: its folder.
        env: name of the simulated task.
        device: torch device of the policy.
    """

    checkpoint: str
    env: str
    device: str = "cpu"


class Roller:
    """A policy and environments that are kept from group to group."""

    def __init__(self, task: Task) -> None:
        from robot_learning.policies import checkpoint

        self._task = task
        self.policy = checkpoint.load(task.checkpoint).to(task.device).eval()
        self._envs: list[Any] = []

    def roll(self, seeds: Sequence[int], film: Collection[int] = ()) -> list[Episode]:
        """One group of episodes."""
        from robot_learning.evaluation.rollout import rollout
        from robot_learning.sim.registry import make

        units = {self.policy.contract.spec_of(name).unit for name in self.policy.observations}
        while len(self._envs) < len(seeds):
            self._envs.append(make(self._task.env, cameras=bool(units & {"rgb", "depth_mm"})))
        return rollout(self.policy, self._envs, seeds, film)

    def close(self) -> None:
        """Give the environments back."""
        for env in self._envs:
            env.close()


def groups(seeds: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Consecutive seeds in groups of `size`, the last one perhaps smaller."""
    return [tuple(seeds[i : i + size]) for i in range(0, len(seeds), size)]


def roll_all(
    task: Task, work: Sequence[Sequence[int]], workers: int, film: Collection[int] = ()
) -> Iterator[list[Episode]]:
    """Roll out groups of seeds, yielding each group's episodes as it is done, in any order.

    Raises:
        UserError: of a worker, as it would be here; or a worker was killed.
    """
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, Any] = {}
    waiting = list(reversed(work))
    try:
        for _ in range(min(workers, len(work))):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(task, theirs, tuple(film)), daemon=True)
            with _without_interrupts():
                process.start()
            theirs.close()
            processes[mine] = process
            mine.send(waiting.pop())
        busy = set(processes)
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                yield _receive(connection, processes[connection])
                if waiting:
                    connection.send(waiting.pop())
                else:
                    busy.remove(connection)
                    connection.close()
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here never see Ctrl-C, which is for the parent: it keeps what is done, then ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(connection: Connection, process: Any) -> list[Episode]:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join(5)
        raise UserError(
            f"an evaluation worker ended with exit code {process.exitcode} before its episodes were done "
            "(its message, if any, is above); where memory is short, use fewer --workers."
        ) from None
    if isinstance(answer, UserError):
        raise answer
    return answer


def _serve(task: Task, connection: Connection, film: tuple[int, ...]) -> None:
    """A worker process: groups of seeds come in, episodes go out, until the other end is closed."""
    import torch

    torch.set_num_threads(1)
    roller = None
    try:
        while True:
            seeds = connection.recv()
            roller = roller or Roller(task)
            connection.send(roller.roll(seeds, film))
    except (EOFError, BrokenPipeError):
        pass
    except UserError as error:
        connection.send(UserError(str(error)))  # subclasses with arguments of their own don't survive the trip
    finally:
        if roller:
            roller.close()
