"""Work shared out to processes that keep what is costly to make, such as environments and policies."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from robot_learning.errors import UserError


class Stopped(Exception):  # it tells no error
    """A worker gave up its work because it was asked to stop."""


Stop = Callable[[], bool]
Work = Callable[[Any, Stop], Any]
"""Does one item; may ask now and then whether to stop, and raise Stopped where the answer is True."""
Make = Callable[..., AbstractContextManager[Work]]


def share_out(
    make: Make, arguments: tuple[Any, ...], items: Sequence[Any], workers: int, patience_s: float
) -> Iterator[Any]:
    """Do each item in one of several spawned processes; yields results in the order in which they are done.

    Workers are told to stop by the end of their connection: because the caller ended the iteration
    (Ctrl-C reaches only the caller), or because this process was killed.

    Args:
        make: a module's function; in each process `with make(*arguments) as work` makes what is kept.
        patience_s: how long a worker may take to tidy up when the iteration ends early [s].

    Raises:
        UserError: of a worker, as it would be here; or a worker was killed.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(items))
    processes: dict[Connection, Any] = {}
    try:
        for _ in range(min(workers, len(items))):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(make, arguments, theirs), daemon=True)
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
    finally:
        for connection in processes:
            connection.close()
        for process in processes.values():
            process.join(patience_s)
            process.terminate()
            process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here never see Ctrl-C, which is for the parent; it tells them in its own way."""
    # Starting a first process starts this one, too, which unblocks SIGINT behind our back.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(connection: Connection, process: Any) -> Any:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join(5)
        raise UserError(
            f"a worker process ended with exit code {process.exitcode} before its work was done (its message, if any, "
            "is above); where memory is short, use fewer --workers."
        ) from None
    if isinstance(answer, UserError):
        raise answer
    return answer


def _serve(make: Make, arguments: tuple[Any, ...], connection: Connection) -> None:
    """A worker process: items come in, results go out, until the other end is closed."""
    try:
        with make(*arguments) as work:
            while True:
                item = connection.recv()
                # While an item is worked on nothing is sent, so that anything to read means: closed.
                connection.send(work(item, connection.poll))
    except (Stopped, EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except UserError as error:
        connection.send(UserError(str(error)))  # subclasses with arguments of their own don't survive the trip
