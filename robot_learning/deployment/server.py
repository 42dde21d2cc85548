"""The policy server: a ROUTER socket that is never kept waiting by inference, which has a thread of its own."""

from __future__ import annotations

import queue
import sys
import threading
import traceback

import numpy as np
import zmq
import zmq.utils.z85

from robot_learning.clock import Clock, SystemClock
from robot_learning.deployment.backends import Backend
from robot_learning.deployment.desk import Answer, Desk, Job, expected_observation
from robot_learning.deployment.keys import ServerKeys, require_keys
from robot_learning.deployment.wire import encode
from robot_learning.errors import DeploymentError

BESIDES = 2**20  # bytes of a message beside its images and vectors: the contract, names, committed actions
IDLE_MS, BUSY_MS = 100, 5  # how long to wait for messages: until a stop is noticed, until a request expires
AT_ONCE = 100  # messages read before answers go out
PEER_SILENT_MS = 3000  # a connection that answers no heartbeat for so long is dropped


class PolicyServer:
    """Serves one policy.

    Args:
        endpoint: `tcp://host:port` (`*`: any free port) or `ipc://path`.
        keys: folder with the server's keys; needed beyond this machine.

    Raises:
        DeploymentError: no keys where they are needed, or the endpoint can't be had.
    """

    def __init__(self, backend: Backend, endpoint: str, keys: str = "", clock: Clock | None = None) -> None:
        require_keys(endpoint, keys)
        curve = ServerKeys.read(keys) if keys else None
        self.desk = Desk(backend.info, backend.contract, clock or SystemClock())
        self._stop = threading.Event()
        self._context = zmq.Context()
        try:
            self._zap = _Zap(self._context, curve.admitted) if curve else None
            self._router = self._bind(endpoint, curve, _largest(backend))
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._worker = _Worker(backend, self._context)

    def _bind(self, endpoint: str, keys: ServerKeys | None, largest: int) -> zmq.Socket:
        router = self._context.socket(zmq.ROUTER)
        router.linger = 200
        router.maxmsgsize = largest  # a peer that sends more is disconnected before it is buffered
        router.handshake_ivl = router.heartbeat_timeout = PEER_SILENT_MS
        router.heartbeat_ivl = PEER_SILENT_MS // 3
        if keys:
            keys.secure(router)
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            raise DeploymentError(
                f"can't serve on {endpoint}: {error.strerror}; choose another port or end the other server."
            ) from None
        return router

    def run(self) -> None:
        """Serve until `stop`; waits for an inference that is under way."""
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._worker.bell, zmq.POLLIN)
        if self._zap:
            poller.register(self._zap.socket, zmq.POLLIN)
        self._worker.start()
        try:
            while not self._stop.is_set():
                ready = dict(poller.poll(BUSY_MS if self.desk.has_waiting else IDLE_MS))
                if self._zap and self._zap.socket in ready:
                    self._zap.answer()
                if self._worker.bell in ready:
                    self._send(self.desk.done(*self._worker.collect()))
                if self._router in ready:
                    self._receive()
                for answer in self.desk.expire():
                    self._send(answer)
                if self._worker.is_free and (job := self.desk.take()):
                    self._worker.give(job)
        finally:
            self._worker.end()
            self._context.destroy()

    def stop(self) -> None:
        """End `run` soon; may be called from a signal handler or another thread."""
        self._stop.set()

    def _receive(self) -> None:
        for _ in range(AT_ONCE):
            try:
                client, *parts = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            for answer in self.desk.receive(client, parts[0] if len(parts) == 1 else b""):
                self._send(answer)

    def _send(self, answer: Answer) -> None:
        # A ROUTER drops what is for a client that has gone or does not read: it is never kept waiting.
        client, message = answer
        self._router.send_multipart([client, encode(message)])


class _Worker:
    """Computes one job at a time in a thread, and rings a bell (a socket that can be polled) when done.

    Attributes:
        is_free: whether a job can be given.
    """

    def __init__(self, backend: Backend, context: zmq.Context) -> None:
        self._backend = backend
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Job, object]] = queue.SimpleQueue()
        self.bell = context.socket(zmq.PAIR)
        self.bell.bind("inproc://done")
        self._rope = context.socket(zmq.PAIR)  # used by the thread alone, once that runs
        self._rope.connect("inproc://done")
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self.start = self._thread.start
        self.is_free = True

    def give(self, job: Job) -> None:
        self.is_free = False
        self._jobs.put(job)

    def collect(self) -> tuple[Job, object]:
        self.bell.recv()
        self.is_free = True
        return self._done.get()

    def end(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._rope.close()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            ask = job.ask
            try:
                outcome: object = self._backend.infer(ask.observation, ask.prefix, ask.instruction)
            except Exception as error:  # whatever a policy raises is told to its client, and the server lives on
                traceback.print_exc(file=sys.stderr)
                outcome = error
            self._done.put((job, outcome))
            self._rope.send(b"")


class _Zap:
    """Says which keys may connect (ZeroMQ's authentication protocol, RFC 27)."""

    def __init__(self, context: zmq.Context, admitted: frozenset[bytes]) -> None:
        self._admitted = admitted
        self.socket = context.socket(zmq.ROUTER)
        self.socket.bind("inproc://zeromq.zap.01")

    def answer(self) -> None:
        frames = self.socket.recv_multipart()
        begin = frames.index(b"") + 1  # the envelope ends with an empty frame
        version, sequence, _domain, _address, _id, mechanism, *credentials = frames[begin:]
        known = mechanism == b"CURVE" and zmq.utils.z85.encode(credentials[0]) in self._admitted
        status = (b"200", b"OK") if known else (b"400", b"this key is not admitted")
        self.socket.send_multipart([*frames[:begin], version, sequence, *status, b"", b""])


def _largest(backend: Backend) -> int:
    """Bytes of the largest good message."""
    expected = expected_observation(backend.info, backend.contract)
    return BESIDES + sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in expected.values())
