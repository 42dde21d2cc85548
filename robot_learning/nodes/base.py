"""What all nodes share: parameters, lifecycle, declared topics and services, diagnostics, an orderly end."""

from __future__ import annotations

import contextlib
import gc
import importlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.publisher import Publisher
from std_srvs.srv import Trigger

from robot_learning.errors import UserError
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.clock import RosClock
from robot_learning.nodes.memory import keep_freed_memory
from robot_learning.nodes.monitor import Monitor
from robot_learning.nodes.qos import mismatch, profile
from robot_learning.rig import Rig, load_rig

_SIGNAL_S = 0.5
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
Handler = Callable[[], str]  # does a service's work and says what it did; UserError: it refused, and why


class StationNode(LifecycleNode):
    """A node of a rig.

    Subclasses give `declaration` and override `configure`, `activate`, `deactivate` and `close`. What they publish,
    subscribe and serve must be declared. Callbacks only copy, stamp and enqueue: all run in one thread.

    Attributes:
        rig: the rig named by the parameter `rig`.
        clock: ROS time.
        exit_code: of the process, where nothing else fails.
    """

    declaration: ClassVar[declared.Node]

    def __init__(self) -> None:
        super().__init__(self.declaration.name)
        self._parameters_declared = {p.name: p for p in self.declaration.parameters}
        for parameter in self.declaration.parameters:
            self.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
        self.add_on_set_parameters_callback(self._check_parameters)
        if not self.param("rig"):
            raise UserError(f"{self.get_name()}: the parameter 'rig' is empty; give -p rig:=<name or path of a rig>.")
        self.rig: Rig = load_rig(self.param("rig"))
        self.clock = RosClock(self, self._time_jumped)
        self.active = False
        self.exit_code = 0
        self._closed = False
        self.monitors: dict[str, Monitor] = {}
        self._faults: dict[str, str] = {}
        self._diagnostics = self.advertise("/diagnostics")
        # Steady: neither a simulated clock that stands still nor a system clock that is set back silences it.
        self.create_timer(1 / self.param("diagnostics_rate_hz"), self._tell, clock=STEADY)

    # What subclasses override

    def configure(self) -> None:
        """Make everything; UserError refuses."""

    def activate(self) -> None:
        """Begin; UserError refuses."""

    def deactivate(self) -> None:
        """End, and leave the robot holding."""

    def close(self) -> None:
        """Give everything back. Called once, also after a signal, when ROS is gone already."""

    def time_jumped(self, delta_ns: int) -> None:
        """Time was set: forget what was buffered."""

    def diagnose(self) -> list[DiagnosticStatus]:
        """Further status lines for /diagnostics."""
        return []

    # What subclasses use

    def param(self, name: str) -> Any:
        """A declared parameter's value."""
        return self.get_parameter(name).value

    def advertise(self, name: str, **fill: str) -> Publisher:
        """A publisher of a declared topic; `fill` replaces {camera} and the like."""
        topic = self._declared(self.declaration.publishes, name)
        full = name.format(**fill)
        events = PublisherEventCallbacks(
            incompatible_qos=lambda event: self._incompatible(full, event.last_policy_kind), use_default_callbacks=False
        )
        return self.create_publisher(_type(topic.type, "msg"), full, profile(topic.qos), event_callbacks=events)

    def listen(self, name: str, callback: Callable[..., None], **fill: str) -> Any:
        """A subscription to a declared topic; a callback with two arguments gets the middleware's info, too."""
        topic = self._declared(self.declaration.subscribes, name)
        return self.subscribe(name.format(**fill), topic.type, profile(topic.qos), callback)

    def subscribe(
        self, topic: str, type: str, qos: Any, callback: Callable[..., None], group: CallbackGroup | None = None
    ) -> Any:
        """A subscription whose incompatible publishers are told by name."""
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._incompatible(topic, event.last_policy_kind),
            use_default_callbacks=False,
        )
        message = _type(type, "msg")
        return self.create_subscription(message, topic, callback, qos, callback_group=group, event_callbacks=events)

    def serve(self, name: str, handler: Handler) -> None:
        """A declared Trigger service: what `handler` returns is the answer, its UserError the refusal."""
        self._declared(self.declaration.serves, name)

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message, response.success = handler(), True
            except UserError as error:
                response.message, response.success = str(error), False
                self.get_logger().warning(f"{name}: {error}")
            return response

        self.create_service(Trigger, name, answer)

    def client(self, name: str) -> Client:
        """A client of a declared service of another node."""
        self._declared(self.declaration.calls, name)
        return self.create_client(Trigger, name)

    def start(self) -> bool:
        """Configure and activate; whether both succeeded."""
        transitions = self.trigger_configure, self.trigger_activate
        succeeded = all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
        gc.collect()
        gc.freeze()  # what lives as long as the node is not looked through in the middle of its work
        return succeeded

    def end(self, code: int = 0) -> None:
        """Have this process end in order, with an exit code: its work is done, or can't be."""
        self.exit_code = code
        self.context.try_shutdown()

    def fault(self, key: str, text: str) -> None:
        """Something is wrong: told at once in the log, and in /diagnostics until :meth:`clear_fault`."""
        if self._faults.get(key) != text:
            self._faults[key] = text
            with contextlib.suppress(Exception):
                self.get_logger().error(text)
                self._tell()

    def clear_fault(self, key: str) -> None:
        """It is right again."""
        self._faults.pop(key, None)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition(self.activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        super().on_activate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        super().on_deactivate(state)
        return self._transition(self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.finish)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.finish)

    def finish(self) -> None:
        """Close once."""
        if not self._closed:
            self._closed, self.active = True, False
            self.close()

    def _transition(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except UserError as error:
            self.fault("lifecycle", str(error))
            return TransitionCallbackReturn.FAILURE
        self.clear_fault("lifecycle")
        return TransitionCallbackReturn.SUCCESS

    # Inside

    def _declared(self, where: tuple[Any, ...], name: str) -> Any:
        for item in where:
            if item.name == name:
                return item
        raise KeyError(f"{type(self).__name__} declares no '{name}'; see nodes/declarations.py")

    def _check_parameters(self, parameters: list[RosParameter]) -> SetParametersResult:
        for new in parameters:
            known = self._parameters_declared.get(new.name)
            if known and known.choices and new.value not in known.choices:
                allowed = ", ".join(repr(c) for c in known.choices)
                return SetParametersResult(successful=False, reason=f"{new.name} is {new.value!r}; allowed: {allowed}")
        return SetParametersResult(successful=True)

    def _incompatible(self, topic: str, policy: int) -> None:
        self.fault(f"qos {topic}", mismatch(topic, policy))

    def _time_jumped(self, delta_ns: int) -> None:
        self.get_logger().warning(f"time was set by {delta_ns / 1e9:+.3f} s")
        self.time_jumped(delta_ns)

    def _tell(self) -> None:
        """Publish /diagnostics."""
        self.clock.look()
        now = self.clock.now_ns()
        lines = []
        for name, monitor in self.monitors.items():
            complaint = monitor.complaint(now)
            level = messages.WARN if complaint else messages.OK
            lines.append(messages.status(f"{self.get_name()}: {name}", level, complaint or "ok", monitor.summary(now)))
        for key, text in self._faults.items():
            lines.append(messages.status(f"{self.get_name()}: {key}", messages.ERROR, text))
        lines += self.diagnose()
        message = DiagnosticArray(status=lines)
        message.header.stamp = messages.to_time(now)
        self._diagnostics.publish(message)


def _type(name: str, kind: str) -> Any:
    """`sensor_msgs/Image` as a class."""
    package, message = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), message)


def _descriptor(parameter: declared.Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.text, read_only=not parameter.changeable)
    if parameter.choices:
        descriptor.additional_constraints = "one of " + ", ".join(repr(c) for c in parameter.choices)
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(parameter.low), to_value=float(parameter.high))
            ]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
    return descriptor


def run(make: Callable[[], StationNode], arguments: list[str] | None = None) -> None:
    """A node's `main`: spin until a signal, then close. A user's mistake is one sentence and exit code 2."""
    node, code = None, 0
    keep_freed_memory()
    try:
        with rclpy.init(args=arguments):
            node = make()
            threading.excepthook = partial(_thread_failed, node)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            if node.param("autostart") and not node.start():
                node.end(UserError.exit_code)  # nobody is there to try again; the fault has been told
            _spin(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except UserError as error:
        print(f"{make.__name__}: {error}", file=sys.stderr)
        code = error.exit_code
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)  # a second signal must not interrupt the orderly end
        if node is not None:
            node.finish()
            code = code or node.exit_code
    sys.exit(code)


def _thread_failed(node: StationNode, about: threading.ExceptHookArgs) -> None:
    """A thread that fails takes its node with it, for silence would look like health."""
    if node.context.ok():  # else it only learnt the hard way that ROS had ended
        threading.__excepthook__(about)
        node.end(1)


def _spin(executor: SingleThreadedExecutor) -> None:
    """Spin until a signal. What rclpy was just doing when the signal came may fail in ways of its own."""
    try:
        executor.spin()
    except Exception:
        end = time.monotonic() + _SIGNAL_S
        while executor.context.ok():  # ROS ends a moment after the signal
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
