"""calibrate_node on a real graph: an operator moves a robot from pose to pose, with rendered pictures of a board."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("mujoco", reason="the sim extra is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'opencv-python>=4.8'")

from diagnostic_msgs.msg import DiagnosticStatus
from fake_rig import FakeRig, small_rig
from geometry_msgs.msg import PoseStamped
from recording import Recording
from sensor_msgs.msg import CameraInfo, Image

from robot_learning.calibration.poses import angle_deg, distance_mm, from_quaternion, to_quaternion
from robot_learning.calibration.rendered import BoardScene
from robot_learning.calibration.rigfile import about, updated, write_calibration
from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile
from robot_learning.rig import load_rig
from robot_learning.rig_parts.calibration import ActuatorDelay, BoardConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "calibration"))
from calibration_episodes import rig_file

BOARD = BoardConfig(square_m=0.03, marker_m=0.022)
SIZE = (400, 300)


class Operator:
    """Publishes what robot and camera would, while the tool rests or moves."""

    def __init__(self, graph, rig):
        self.graph, node = graph, graph.node
        self._pose = node.create_publisher(PoseStamped, "/r/robot/ee_pose", profile("state"))
        self._image = node.create_publisher(Image, "/r/wrist/color/image_raw", profile("image"))
        self._info = node.create_publisher(CameraInfo, "/r/wrist/color/camera_info", profile("image"))
        self.status = graph.collect(DiagnosticStatus, "/r/calibrate/status", profile("latched"))
        graph.start(
            "robot_learning.nodes.calibrate_node", "calibrate", "/r", rig=str(rig), camera="wrist", square_m=0.03,
            marker_m=0.022, intrinsics="camera_info", output=str(graph.folder / "out"),
        )  # fmt: skip
        graph.until(lambda: self.status and self._image.get_subscription_count())

    def show(self, tool, image, lens, moving=False):
        """Half a second of the tool's pose, a picture, then a little more of the pose."""
        self._info.publish(lens)
        for k in range(45):
            now = time.time_ns()
            position = tool[:3, 3] + ([0.002 * k, 0, 0] if moving else 0)
            self._pose.publish(messages.pose(now, "base", position, to_quaternion(tool)))
            if k == 35:
                self._image.publish(messages.image(now, "wrist_optical", image))
            self.graph.spin(0.015)

    def ask(self, word):
        answer = self.graph.call(f"/r/calibrate/{word}")
        return answer.success, answer.message

    def say(self):
        return messages.values_of(self.status[-1])


def lens_of(scene):
    lens = scene.intrinsics
    K = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    return messages.camera_info(1, "wrist_optical", *SIZE, K)


def test_an_operator_is_guided_from_the_first_pose_to_the_rig_file(graph, tmp_path):
    rig = rig_file(tmp_path, *SIZE)
    scene = BoardScene(BOARD, "hand", 3, *SIZE)
    lens = lens_of(scene)
    operator = Operator(graph, rig)
    assert operator.ask("collect") == (False, "no picture has come for a second; is the camera running?")
    stops = []
    while len(stops) < 9:
        scene.place(scene.joints_for())
        stops.append((scene.tool(), scene.render()))

    operator.show(*stops[0], lens, moving=True)
    done, text = operator.ask("collect")
    assert not done
    assert "the tool moves" in text
    operator.show(stops[0][0], np.full_like(stops[0][1], 200), lens)
    done, text = operator.ask("collect")
    assert not done
    assert "no marker of the board is seen" in text
    for k, (tool, image) in enumerate(stops):
        operator.show(tool, image, lens)
        done, text = operator.ask("collect")
        assert done, text
        assert text.startswith(f"pose {k + 1} taken")
        if k == 0:
            done, text = operator.ask("collect")
            assert not done
            assert "the tool is where it was at pose 1" in text
            done, text = operator.ask("solve")
            assert not done
            assert "1 poses are too few" in text
            graph.until(lambda: "too few" in operator.say()["missing"])
    graph.until(lambda: operator.say()["poses"] == "9" and operator.say()["missing"] == "")
    assert operator.ask("write") == (False, "there is no result for these poses; solve first.")
    done, text = operator.ask("solve")
    assert done, text
    old = rig.read_bytes()
    done, text = operator.ask("write")
    assert done, text
    assert rig.read_bytes().startswith(old)
    record = load_rig(rig).calibration.cameras["wrist"]
    found = from_quaternion(np.array(record.position_m), np.array(record.quaternion_wxyz))
    assert distance_mm(found, scene.camera_pose) < 2.0
    assert angle_deg(found, scene.camera_pose) < 0.3
    assert record.source == "live"
    assert (graph.folder / "out" / "calibration.html").exists()
    done, text = operator.ask("undo")
    assert (done, text.startswith("pose 9 thrown away; 8 poses")) == (True, True)
    assert not operator.ask("write")[0]  # the result was of other poses
    scene.close()


def test_a_camera_that_the_rig_lacks_is_told_with_the_closest_name(graph, tmp_path):
    node = graph.start(
        "robot_learning.nodes.calibrate_node", "calibrate", "/r", rig=str(rig_file(tmp_path, *SIZE)), camera="wirst"
    )
    graph.until(lambda: node.popen.poll() is not None)
    assert node.popen.poll() == 2
    assert "unknown camera of the rig station 'wirst'; did you mean 'wrist'" in node.log


def test_each_episode_has_the_calibration_of_its_time(graph, tmp_path):
    rig = small_rig(tmp_path)
    recorder = Recording(graph, rig, tmp_path / "store", "/small")
    FakeRig(graph, rig, "/small")

    def recorded():
        id = recorder.begin()
        recorder.record_for(50)
        recorder.call("success")
        graph.until(lambda: recorder.sealed and recorder.sealed[-1].data == id)
        return recorder.episode(id).metadata["provenance"]["calibration"]

    assert recorded() is None
    delay = ActuatorDelay(delay_s=0.05, lag_s=0.03, delay_error_s=0.0, lag_error_s=0.0, residual=0.0, **about("live"))
    write_calibration(rig, updated(load_rig(rig), delay))  # while the recorder runs
    found = recorded()
    assert found["robot"] == "mujoco_panda"
    assert (found["actuator"]["delay_s"], found["actuator"]["source"]) == (0.05, "live")
