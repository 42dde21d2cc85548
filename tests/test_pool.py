from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from robot_learning.errors import UnknownName, UserError
from robot_learning.pool import Stopped, share_out


@contextmanager
def squares(folder: Path):
    """Squares numbers; says when it begins and when it ends."""
    (folder / f"began-{os.getpid()}").touch()

    def work(item, stop):
        if item == "mistake":
            raise UnknownName("there is no such thing.")
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "wait":
            while not stop():
                time.sleep(0.01)
            raise Stopped
        return item**2

    try:
        yield work
    finally:
        (folder / f"ended-{os.getpid()}").touch()


def test_every_item_is_done_once_and_what_is_costly_is_made_once_in_each_process(tmp_path):
    assert sorted(share_out(squares, (tmp_path,), range(20), 2, 5.0)) == [n**2 for n in range(20)]
    assert len(list(tmp_path.glob("began-*"))) == 2
    assert len(list(tmp_path.glob("ended-*"))) == 2


def test_a_users_mistake_in_a_worker_is_one_here(tmp_path):
    with pytest.raises(UserError, match="no such thing"):
        list(share_out(squares, (tmp_path,), ["mistake"], 1, 5.0))


def test_a_worker_that_was_killed_is_named_with_its_exit_code(tmp_path):
    with pytest.raises(UserError, match="exit code -9"):
        list(share_out(squares, (tmp_path,), ["die"], 1, 5.0))


def test_who_ends_early_tells_the_workers_which_tidy_up(tmp_path):
    results = share_out(squares, (tmp_path,), [3, "wait"], 2, 30.0)
    assert next(results) == 9
    results.close()
    assert len(list(tmp_path.glob("ended-*"))) == len(list(tmp_path.glob("began-*"))) > 0


def test_no_items_need_no_processes(tmp_path):
    assert list(share_out(squares, (tmp_path,), [], 4, 5.0)) == []
    assert list(tmp_path.iterdir()) == []
