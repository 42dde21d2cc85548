"""Jobs on the machines of a Ray cluster. All must see the output folder under one path."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robot_learning.benchmark.jobs import Job
from robot_learning.benchmark.running import PATIENCE_S, Outcome, complete
from robot_learning.errors import UserError
from robot_learning.output import write_text

LOCAL = "local"
_POLL_S = 1.0


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Any]:
    """Ray, joined to a cluster until the block ends.

    Args:
        address: of the cluster's head, as `ray.init` takes it; `local` starts Ray here, with `workers` CPUs.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        ray = None
    if not hasattr(ray, "init"):  # a folder called ray in the working directory can be imported, too
        raise UserError(
            "--ray needs the library 'ray', which is not installed; run pip install 'robot_learning[cluster]' here "
            "and on each machine."
        )
    try:
        if address == LOCAL:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
        else:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"can't join a Ray cluster at '{address}': {said}; start one by 'ray start --head' and give its address, "
            f"or --ray {LOCAL}."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def spread(
    ray: Any, jobs: Sequence[Job], output: Path, device: str, tell: Callable[[Sequence[Job]], None]
) -> Generator[tuple[Job, Outcome], None, None]:
    """Each job with its outcome, as they end; ended early, it has each process save what it has.

    Args:
        output: absolute; each machine is asked whether it sees it.
        device: `cuda`: each job takes a GPU.
        tell: called now and then with the jobs under way.
    """
    token = write_text(output / f".seen-{secrets.token_hex(8)}", "for machines of a cluster to find\n")
    # One try each: what fails is reported, and run again by the next call.
    remote = ray.remote(num_cpus=1, num_gpus=1 if device == "cuda" else 0, max_retries=0)(_there)
    pending: dict[Any, Job] = {}
    try:
        pending.update({remote.remote(job, token, dict(_passed_on())): job for job in jobs})
        while pending:
            ready, _ = ray.wait(list(pending), timeout=_POLL_S)
            for reference in ready:
                job = pending.pop(reference)
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError as error:
                    outcome = Outcome(job.name, f"Ray: {' '.join(str(error).split())[-300:]}", 0.0)
                yield job, outcome
            tell([job for job in pending.values() if job.fraction() > 0])
    finally:
        for reference in pending:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(reference)
        if pending:
            ray.wait(list(pending), num_returns=len(pending), timeout=PATIENCE_S)
        token.unlink(missing_ok=True)


def _there(job: Job, token: Path, environment: dict[str, str]) -> Outcome:
    """Runs on one of the machines."""
    if not token.exists():
        return Outcome(
            job.name,
            f"machine {os.uname().nodename} does not see {token.parent}; give an --output on a file system that all "
            "machines share, under one path.",
            0.0,
        )
    os.environ.update(environment)
    try:
        return complete(job)
    except UserError as error:
        return Outcome(job.name, str(error), 0.0)


def _passed_on() -> Iterator[tuple[str, str]]:
    """What decides how simulators render and how many threads compute, as it is here."""
    for name in ("MUJOCO_GL", "OMP_NUM_THREADS"):
        if name in os.environ:
            yield name, os.environ[name]
