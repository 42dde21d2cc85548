"""The recorder as a node: topics in, episodes out. What an episode is and what ends one is in `deployment.session`."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier
from std_msgs.msg import String

from robot_learning.data.recovery import recover
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.deployment.session import Ended, NotReady, Session
from robot_learning.errors import StoreError, UserError
from robot_learning.nodes import declarations, messages
from robot_learning.nodes.base import STEADY, StationNode, run
from robot_learning.nodes.intake import Intake
from robot_learning.provenance import provenance
from robot_learning.rig import load_rig, rig_path
from robot_learning.sim.station import object_streams, station_contract, task_text
from robot_learning.topics import topics

POLL_S = 0.01
LOOK_S = 0.1
CHECK_S = 1.0
STATUS_S = 0.5


class RecorderNode(StationNode):
    """Records the rig's streams from the topics that its file names."""

    declaration = declarations.RECORDER

    def __init__(self) -> None:
        super().__init__()
        if not self.param("store"):
            raise UserError(f"{self.get_name()}: the parameter 'store' is empty; give -p store:=<folder>.")
        self._told, self._level = "idle", messages.OK

    def configure(self) -> None:
        store = self._open()
        contract = station_contract(self.rig)
        recording = self.rig.recording
        self._session = Session(
            store,
            contract,
            self.clock,
            self.param("max_gap_s"),
            recording.queue_s,
            round(recording.disk_reserve_gb * 1e9),
        )
        self._origin = provenance()
        for sentence in self.rig.calibration.stale(datetime.now(UTC)) if self.rig.calibration else ():
            self.get_logger().warning(sentence)
        self._sources = topics(self.rig, object_streams(self.rig))
        self._intake = Intake(
            self,
            contract,
            self._sources,
            [spec.name for spec in contract.streams],
            self.deliver,
            self._session.refuse,
            lambda stream: self._session.event(stream, "another publisher took over"),
            polled=True,
        )
        self._status = self.advertise("~/status")
        self._episode = self.advertise("~/episode")
        self._commands: dict[str, Callable[[], str]] = {
            "start": self._start,
            "stop": lambda: self._end(None),
            "success": lambda: self._end("success"),
            "failure": lambda: self._end("failure"),
            "discard": self._discard,
            "mark": self._mark,
        }
        for word, work in self._commands.items():
            self.serve(f"~/{word}", partial(self._do, work))
        self.listen("~/command", self._command)
        self.listen("~/task", self._task)
        self._devices: dict[str, dict[str, str]] = {}
        for name in self.rig.cameras:
            self.listen("{camera}/device", partial(self._hear_device, name), camera=name)
        self.create_timer(POLL_S, self._intake.poll, clock=STEADY)
        self.create_timer(CHECK_S, self._intake.check, clock=STEADY)
        self.create_timer(LOOK_S, self._look, clock=STEADY)
        self.create_timer(STATUS_S, self._tell_status, clock=STEADY)

    def deactivate(self) -> None:
        self._finish("deactivated")

    def close(self) -> None:
        if hasattr(self, "_session"):
            self._finish("shutdown")

    def time_jumped(self, delta_ns: int) -> None:
        for monitor in self.monitors.values():
            monitor.forget()
        if hasattr(self, "_session"):
            self._ended(self._session.time_jumped())

    def deliver(self, samples: list[Sample]) -> None:
        """What one message gave."""
        self._session.extend(samples)

    def _open(self) -> Store:
        """The store, with what a recorder that died has left there made whole."""
        store = Store.open_or_create(self.param("store"))
        for report in recover(store):
            self.get_logger().warning(f"episode {report.episode}: {report.detail}")
        return store

    # Commands

    def _do(self, work: Callable[[], str]) -> str:
        """Do what a service or the command topic asks, and remember the refusal for ~/status."""
        if not self.active:
            raise NotReady("the recorder is not active; activate it first.")
        try:
            return work()
        except UserError as error:
            self._say(str(error), messages.WARN)
            raise
        finally:
            self._tell_status()

    def _command(self, message: String) -> None:
        word = message.data.strip()
        try:
            if word not in self._commands:
                raise NotReady(f"~/command '{word}' is unknown; allowed: {', '.join(self._commands)}.")
            self._do(self._commands[word])
        except UserError as error:
            self._say(str(error), messages.WARN)
            self.get_logger().warning(str(error))

    def _task(self, message: String) -> None:
        self.set_parameters([Parameter("task", value=message.data.strip())])

    def _hear_device(self, camera: str, message: DiagnosticStatus) -> None:
        self._devices[camera] = messages.values_of(message)

    def _start(self) -> str:
        task = self._what()
        id = self._session.start(task, self.param("operator"), self._provenance(), self._intake.missing())
        self._say(f"recording episode {id}: {task}")
        return self._told

    def _what(self) -> str:
        """What the next episode is to show."""
        return self.param("task") or task_text(self.rig)

    def _end(self, outcome: str | None) -> str:
        self._intake.poll()  # what came before the command is part of the episode
        ended = self._session.end(outcome, "operator")
        self._ended(ended)
        if not ended.id:
            raise StoreError(ended.text)
        return ended.text

    def _discard(self) -> str:
        ended = self._session.discard()
        self._say(ended.text)
        return ended.text

    def _mark(self) -> str:
        return f"marked {self._session.mark()}"

    def _provenance(self) -> dict[str, Any]:
        rig = rig_path(self.param("rig")).read_text()
        calibration = load_rig(self.param("rig")).calibration  # as it is now: it may be newer than this process
        publishers = self._intake.publishers()
        return {
            **self._origin,
            "node": self.get_fully_qualified_name(),
            "ros": {"distribution": os.environ.get("ROS_DISTRO", ""), "rmw": get_rmw_implementation_identifier()},
            "cameras": dict(self._devices),
            "calibration": calibration.to_json() if calibration else None,
            "rig": {"name": self.rig.name, "sha256": hashlib.sha256(rig.encode()).hexdigest(), "file": rig},
            "topics": {
                stream: {**self._sources[stream].model_dump(mode="json"), "published_by": publishers[stream]}
                for stream in publishers
            },
        }

    # What happens by itself

    def _look(self) -> None:
        self.clock.look()
        self._ended(self._session.look())

    def _finish(self, reason: str) -> None:
        if self._session.recording:
            self._ended(self._session.end(None, reason))

    def _ended(self, ended: Ended | None) -> None:
        """Tell how an episode ended: by a person as a matter of course, otherwise as an error."""
        if ended is None:
            return
        expected = bool(ended.id) and ended.reason == "operator"
        self._say(ended.text, messages.OK if expected else messages.ERROR)
        with contextlib.suppress(Exception):  # ROS may be gone already; the episode is sealed
            (self.get_logger().info if expected else self.get_logger().error)(ended.text)
            if ended.id:
                self._episode.publish(String(data=ended.id))
            self._tell_status()

    def _say(self, text: str, level: bytes = messages.OK) -> None:
        self._told, self._level = text, level

    def _tell_status(self) -> None:
        values = self._session.status() | {"task": self._what(), "operator": self.param("operator")}
        now = self.clock.now_ns()
        for name, monitor in self.monitors.items():
            summary = monitor.summary(now)
            values |= {f"{name}.{key}": summary[key] for key in ("rate_hz", "dropped", "refused")}
        self._status.publish(messages.status(self.get_fully_qualified_name(), self._level, self._told, values))


def main() -> None:
    """Entry point of `recorder_node`."""
    run(RecorderNode)


if __name__ == "__main__":
    main()
