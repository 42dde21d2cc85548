"""A simulated world that keeps pace with a clock: on a fake clock, then once for real."""

import threading

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, FakeClock, SystemClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget
from robot_learning.drivers.mujoco.camera import MujocoCamera, Renderer
from robot_learning.drivers.mujoco.panda import scene_xml
from robot_learning.drivers.mujoco.realtime import RealTimePanda
from robot_learning.drivers.mujoco.studio import Studio, Wanted
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_rotation_6d, matrix_to_rotation_vector, quaternion_to_matrix
from robot_learning.sim.panda import PandaEnv
from robot_learning.sim.panda_start import place_start
from robot_learning.sim.station import task_of

RIG = load_rig("panda_sim")
EPOCH_NS = 1_700_000_000 * NS_PER_S


class Bench:
    """A robot on a fake clock, its thread never started: `catch_up` is called instead."""

    def __init__(self):
        self.clock = FakeClock(EPOCH_NS)
        self.robot = RealTimePanda(RIG, self.clock)
        self.states = []
        self.robot.heard = self.states.append
        self.robot.restart()

    def wait(self, seconds, step_s=0.0031):
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.robot.time.catch_up()

    def gate(self):
        gate = Gate(self.robot, RIG.limits, self.clock, RIG.policy.rate_hz)
        gate.activate()
        return gate

    def towards(self, metres):
        state = self.robot.observe()
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(state.ee_orientation))
        return EeTarget(self.clock.now_ns(), state.ee_position + np.array([0, metres, 0]), rotation, 0.08)


@pytest.fixture
def bench():
    return Bench()


def test_states_come_at_the_rigs_rate_and_carry_the_clocks_stamps(bench):
    bench.wait(1.0)
    stamps = np.array([s.stamp_ns for s in bench.states])
    assert stamps[0] == EPOCH_NS
    assert (np.diff(stamps) == 10_000_000).all()
    assert 99 <= len(stamps) <= 101
    assert stamps[-1] <= bench.clock.now_ns()


def test_a_world_that_was_held_up_loses_no_state_and_says_how_late_it_was(bench):
    bench.wait(0.1)
    bench.clock.advance(0.4)
    bench.robot.time.catch_up()
    assert (np.diff([s.stamp_ns for s in bench.states]) == 10_000_000).all()
    assert bench.robot.time.worst_lag_s == pytest.approx(0.4, abs=0.01)
    assert bench.robot.time.jumps == 0


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_moves_the_stamps_and_not_the_arm(bench, jump_s):
    gate = bench.gate()
    gate.command(bench.towards(0.004))
    bench.wait(0.1)
    before = bench.robot.observe()
    bench.clock._now_ns += round(jump_s * NS_PER_S)
    bench.wait(0.1)
    after = bench.robot.observe()
    assert abs(after.stamp_ns - bench.clock.now_ns()) < 0.02 * NS_PER_S
    assert bench.robot.time.jumps == 1
    np.testing.assert_allclose(after.joint_position, before.joint_position, atol=0.01)


def test_a_stop_is_heeded_at_the_next_control_tick(bench):
    gate = bench.gate()
    for _ in range(6):
        gate.command(bench.towards(0.01))
        bench.wait(0.05)
    moving = float(np.abs(bench.robot.observe().joint_velocity).max())
    assert moving > 0.02
    stopped = threading.Event()
    with bench.robot.time.lock:  # the physics is busy: a stop from elsewhere doesn't wait for it
        thread = threading.Thread(target=lambda: (bench.robot.stop(), stopped.set()))
        thread.start()
        assert stopped.wait(10)
        thread.join()
    desired = []
    bench.robot.heard = lambda state: desired.append(state.desired_velocity)
    bench.wait(0.35)
    assert np.abs(desired[-1]).max() == 0
    sizes = [float(np.abs(v).max()) for v in desired]
    assert sizes == sorted(sizes, reverse=True)


def test_a_restart_goes_on_in_time_from_a_known_start():
    clock = FakeClock(EPOCH_NS)
    task = task_of(RIG)
    world = World(scene_xml(task.objects_xml()))
    robot = RealTimePanda(
        RIG, clock, world, lambda panda: place_start(RIG, task, world, panda, np.random.default_rng(7))
    )
    states = []
    robot.heard = states.append
    robot.restart()
    first = states[0]
    for _ in range(100):
        clock.advance(0.01)
        robot.time.catch_up()
    robot.restart()
    again = robot.observe()
    assert again.stamp_ns > states[-2].stamp_ns
    np.testing.assert_array_equal(again.joint_position, first.joint_position)
    env = PandaEnv("lift", cameras=False)
    observation, _ = env.reset(seed=7)
    np.testing.assert_array_equal(observation["joint_position"], first.joint_position)
    np.testing.assert_array_equal(observation["cube_position"], task.read(world)["cube_position"])


def test_in_a_thread_of_its_own_time_passes_by_itself():
    robot = RealTimePanda(RIG, clock := SystemClock())
    several = threading.Event()
    count = []
    robot.heard = lambda state: (count.append(state.stamp_ns), several.set() if len(count) > 20 else None)
    robot.connect()
    try:
        assert several.wait(20)
    finally:
        robot.disconnect()
    assert count == sorted(count)
    assert count[-1] <= clock.now_ns()
    assert "physics" not in [thread.name for thread in threading.enumerate()]


# Cameras beside the physics


class Darkroom:
    """Frames of a studio, as they come."""

    def __init__(self, wanted):
        self.frames, self.wanted = {}, wanted
        self.came = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        self.clock = FakeClock(EPOCH_NS)
        self.robot = RealTimePanda(RIG, self.clock)
        self.studio = Studio(RIG.cameras, self.robot.time, lambda name: self.wanted, self.deliver)
        self.studio.open()

    def deliver(self, name, frame):
        with self.came:
            self.frames.setdefault(name, []).append(frame)
            self.came.notify()
        self.gate.wait(20)

    def await_frames(self, count, name="front"):
        with self.came:
            assert self.came.wait_for(lambda: len(self.frames.get(name, [])) >= count, 20)

    def expose(self, times):
        for _ in range(times):
            self.clock.advance(1 / 30 + 1e-4)
            self.robot.time.catch_up()


@pytest.fixture
def darkroom():
    made = []

    def make(colour=True, depth=True):
        made.append(Darkroom(Wanted(colour, depth)))
        return made[-1]

    yield make
    for room in made:
        room.gate.set()
        room.studio.close()


def test_a_frame_shows_the_scene_at_its_stamp_whatever_the_physics_does_meanwhile(darkroom):
    room = darkroom()
    room.robot.restart()
    room.await_frames(1, "wrist")
    frame = room.frames["front"][0]
    assert (frame.stamp_ns, frame.sequence) == (EPOCH_NS, 0)
    renderer = Renderer(room.robot.world, 128, 128)
    colour, depth = renderer.render("front", depth=True)
    renderer.close()
    np.testing.assert_array_equal(frame.colour, colour)
    np.testing.assert_array_equal(frame.depth, depth)


def test_what_nobody_wants_is_not_rendered(darkroom):
    room = darkroom(False, False)
    room.robot.restart()
    room.expose(5)
    room.wanted = Wanted(True, False)
    room.expose(1)
    room.await_frames(1, "wrist")
    assert [f.sequence for f in room.frames["front"]] == [0]
    assert room.frames["front"][0].depth is None


def test_a_studio_that_cannot_keep_up_leaves_holes_in_the_count_and_the_physics_alone(darkroom):
    room = darkroom()
    room.gate.clear()
    room.robot.restart()
    room.await_frames(1)
    room.expose(10)
    assert room.robot.time.worst_lag_s < 0.05
    room.gate.set()
    room.await_frames(2)
    sequences = [f.sequence for f in room.frames["front"]]
    assert sequences[-1] - sequences[0] + 1 == len(sequences) + room.studio.missed["front"]
    assert room.studio.missed["front"] > 0


def test_intrinsics_are_those_of_the_simulated_camera(darkroom):
    world = World(scene_xml())
    camera = MujocoCamera("wrist", RIG.cameras["wrist"], world)
    np.testing.assert_array_equal(darkroom().studio.intrinsics("wrist"), camera.intrinsics())


def test_the_jacobian_turns_joint_speeds_into_the_tools(bench):
    rng = np.random.default_rng(0)
    kinematics, step = bench.robot.kinematics, 1e-6
    for _ in range(10):
        q = np.array(RIG.robot.home_joint_position) + rng.uniform(-0.3, 0.3, 7)
        speed = rng.normal(size=7)
        position, rotation = kinematics.forward(q)
        later, turned = kinematics.forward(q + step * speed)
        linear, angular = np.split(bench.robot.jacobian(q) @ speed, 2)
        np.testing.assert_allclose((later - position) / step, linear, atol=1e-4)
        np.testing.assert_allclose(matrix_to_rotation_vector(turned @ rotation.T) / step, angular, atol=1e-4)
