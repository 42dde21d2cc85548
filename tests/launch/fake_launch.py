"""Stand-ins for the parts of `launch` and `launch_ros` that launch files use: they keep what they were given.

`installed()` puts them where the real packages would be imported from.
"""

import contextlib
import sys
from types import ModuleType


class FakeAction:
    def __init__(self, *positional, **named):
        self.positional, self.named = positional, named


class LaunchDescription(FakeAction):
    @property
    def actions(self):
        return self.positional[0]


class LaunchContext:
    def __init__(self, **configurations):
        self.configurations, self.is_shutdown = configurations, False


class DeclareLaunchArgument(FakeAction):
    pass


class ExecuteProcess(FakeAction):
    pass


class LogInfo(FakeAction):
    pass


class OpaqueFunction(FakeAction):
    def run(self, context):
        return self.named["function"](context, *self.named["args"])


class RegisterEventHandler(FakeAction):
    pass


class SetEnvironmentVariable(FakeAction):
    pass


class Shutdown(FakeAction):
    pass


class OnProcessIO(FakeAction):
    pass


class LaunchConfiguration(FakeAction):
    def perform(self, context):
        return context.configurations[self.positional[0]]


class Node(FakeAction):
    pass


class ParameterValue(FakeAction):
    pass


class ExecutableInPackage(FakeAction):
    pass


_WHERE = {
    "launch": (LaunchDescription, LaunchContext),
    "launch.actions": (
        DeclareLaunchArgument,
        ExecuteProcess,
        LogInfo,
        OpaqueFunction,
        RegisterEventHandler,
        SetEnvironmentVariable,
        Shutdown,
    ),
    "launch.event_handlers": (OnProcessIO,),
    "launch.substitutions": (LaunchConfiguration,),
    "launch_ros": (),
    "launch_ros.actions": (Node,),
    "launch_ros.parameter_descriptions": (ParameterValue,),
    "launch_ros.substitutions": (ExecutableInPackage,),
}
_OURS = "robot_learning.nodes.launching"


@contextlib.contextmanager
def installed():
    names = [*_WHERE, _OURS]
    before = {name: sys.modules.pop(name, None) for name in names}
    for name, classes in _WHERE.items():
        sys.modules[name] = ModuleType(name)
        for one in classes:
            setattr(sys.modules[name], one.__name__, one)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
            if before[name] is not None:
                sys.modules[name] = before[name]
