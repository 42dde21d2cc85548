"""A simulated Panda that looks at a board, with everything known: what the calibration is tested and measured on."""

from __future__ import annotations

import mujoco
import numpy as np

from robot_learning.calibration.board import picture
from robot_learning.calibration.bundle import Mount, View
from robot_learning.calibration.camera import of_matrix
from robot_learning.calibration.detect import Detector, NoBoard
from robot_learning.calibration.poses import distance_mm, inverse, pose, to_quaternion
from robot_learning.drivers.mujoco.camera import Renderer, intrinsics
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.panda import JOINTS, TOOL_SITE, scene_xml
from robot_learning.rig_parts.calibration import BoardConfig, IntrinsicsConfig
from robot_learning.rotation import quaternion_to_matrix, rotation_vector_to_matrix

HOME = np.array([0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785])
_OPTICAL = np.diag([1.0, -1.0, -1.0])  # MuJoCo's cameras look along -z with y up
_RIM_SQUARES = 0.5
_PIXELS_PER_SQUARE = 96
# As seen by a camera on the far side of the table, a board held before the hand: its x along the tool's -y, its y along
# the tool's z, which points down.
_HELD = pose(np.array([0.06, 0.0, 0.0]), np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]))
_CAMERAS: dict[str, Mount] = {"wrist": "hand", "front": "static"}


class BoardScene:
    """Arm, table and board. The camera's mounting and the board's place are drawn by the seed.

    Attributes:
        model, data: MuJoCo's own; nothing here is simulated, the arm is placed.
        camera_pose: (4, 4) the truth: camera in the tool's frame (hand) or base frame (static), optical axes.
        board_pose: (4, 4) the truth: the board in the base frame, or the tool's.
    """

    def __init__(
        self, board: BoardConfig, mount: Mount, seed: int, width_px: int = 640, height_px: int = 480,
        fovy_deg: float = 45.0, fine: bool = True,
    ) -> None:  # fmt: skip
        self.board, self.mount, self.size = board, mount, (width_px, height_px)
        self._rng = np.random.default_rng(seed)
        self.camera = next(name for name, m in _CAMERAS.items() if m == mount)
        pixels = picture(board, _PIXELS_PER_SQUARE, _RIM_SQUARES)
        self.model = mujoco.MjModel.from_xml_string(_with_board(scene_xml(), board, pixels.shape))
        self._paint(pixels)
        self.data = mujoco.MjData(self.model)
        self.kinematics = Kinematics(HOME, np.array([j.low for j in JOINTS]), np.array([j.high for j in JOINTS]))
        self._mount_camera(fovy_deg)
        self.place(HOME)
        self.camera_pose = self._true_camera()
        self.board_pose = self._true_board()
        self._renderer = Renderer(self, width_px, height_px, fine)
        self.detector = Detector(board)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    @property
    def intrinsics(self) -> IntrinsicsConfig:
        """The truth; a pixel's centre is at a whole number, where MuJoCo's is at a half."""
        K = intrinsics(self, self.camera, *self.size)
        K[:2, 2] -= 0.5
        return of_matrix(K, *self.size)

    def tool(self) -> np.ndarray:
        """(4, 4) in the base frame, as placed."""
        site = self.data.site(TOOL_SITE)
        return pose(site.xpos, site.xmat.reshape(3, 3))

    def place(self, joints: np.ndarray) -> None:
        """Put the arm, and the board where it is held, at joints (7,) [rad]."""
        self.data.qpos[: len(JOINTS)] = joints
        mujoco.mj_kinematics(self.model, self.data)
        if hasattr(self, "board_pose"):
            board = self.board_pose if self.mount == "hand" else self.tool() @ self.board_pose
            self.data.mocap_pos[0], self.data.mocap_quat[0] = board[:3, 3], to_quaternion(board)
            mujoco.mj_kinematics(self.model, self.data)

    def render(self) -> np.ndarray:
        """(H, W, 3) uint8 as the camera sees it now."""
        return self._renderer.render(self.camera)[0]

    def joints_for(self, tilt_deg: float = 25.0, tilt_axis: int | None = None) -> np.ndarray:
        """Joints (7,) from which the camera sees the board, at random.

        Args:
            tilt_deg: how far the view is turned about each axis, at most.
            tilt_axis: turn about this axis of the camera only.
        """
        for _ in range(500):
            tilt = np.radians(self._rng.uniform(-tilt_deg, tilt_deg, 3))
            if tilt_axis is not None:
                tilt = np.where(np.arange(3) == tilt_axis, tilt, 0.0)
            middle = 0.5 * np.array([self.board.squares_x, self.board.squares_y, 0]) * self.board.square_m
            far = self._rng.uniform(0.26, 0.42) if self.mount == "hand" else self._rng.uniform(0.5, 0.75)
            aside = 0.05 if self.mount == "hand" else 0.15
            aim = np.array([*self._rng.uniform(-aside, aside, 2), far])
            seen = pose(aim, rotation_vector_to_matrix(tilt))  # the board's middle in the optical frame
            C = seen @ pose(-middle, np.eye(3))
            if self.mount == "hand":
                wanted = self.board_pose @ inverse(C) @ inverse(self.camera_pose)
            else:
                wanted = self.camera_pose @ C @ inverse(self.board_pose)
            q = HOME
            for _ in range(6):
                q = self.kinematics.inverse(wanted[:3, 3], wanted[:3, :3], q)
            if distance_mm(pose(*self.kinematics.forward(q)), wanted) < 1.0:
                return q
        raise RuntimeError("the arm reaches no pose from which the board is seen; choose another seed")

    def views(
        self, count: int, tilt_deg: float = 25.0, tilt_axis: int | None = None, noise: tuple[float, float] = (0.0, 0.0),
        pixel_noise: float = 2.0,
    ) -> list[View]:  # fmt: skip
        """So many views in which the board is found.

        Args:
            noise: of the stated tool poses, standard deviation for each axis [m], [rad].
            pixel_noise: standard deviation [grey levels].
        """
        found: list[View] = []
        while len(found) < count:
            self.place(self.joints_for(tilt_deg, tilt_axis))
            grey = self.render().astype(np.float64) + self._rng.normal(0, pixel_noise, (self.size[1], self.size[0], 1))
            try:
                detection = self.detector(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
            except NoBoard:
                continue
            tool = self.tool()
            tool[:3, 3] += self._rng.normal(0, noise[0], 3)
            tool[:3, :3] = tool[:3, :3] @ rotation_vector_to_matrix(self._rng.normal(0, noise[1], 3))
            found.append(View(f"pose {len(found) + 1}", tool, detection))
        return found

    def _mount_camera(self, fovy_deg: float) -> None:
        camera = self.model.camera(self.camera)
        camera.fovy[0] = fovy_deg
        shift, turn = (0.02, 0.15) if self.mount == "hand" else (0.05, 0.1)
        camera.pos[:] += self._rng.uniform(-shift, shift, 3)
        # Beside the hand and outwards, for a camera close to the fingers would see little else.
        if self.mount == "hand":
            camera.pos[0] += 0.03
        R = quaternion_to_matrix(camera.quat) @ rotation_vector_to_matrix(self._rng.uniform(-turn, turn, 3))
        camera.quat[:] = to_quaternion(pose(np.zeros(3), R))

    def _true_camera(self) -> np.ndarray:
        mujoco.mj_camlight(self.model, self.data)
        camera = self.data.camera(self.camera)
        in_base = pose(camera.xpos, camera.xmat.reshape(3, 3) @ _OPTICAL)
        return inverse(self.tool()) @ in_base if self.mount == "hand" else in_base

    def _true_board(self) -> np.ndarray:
        turn = rotation_vector_to_matrix(self._rng.uniform(-0.15, 0.15, 3))
        if self.mount == "static":
            middle = 0.5 * np.array([self.board.squares_x, self.board.squares_y, 0]) * self.board.square_m
            held = _HELD @ pose(self._rng.uniform(-0.02, 0.02, 3), turn)
            return held @ pose(-middle, np.eye(3))
        # On the table, its x to the robot's right, so that it is upright for a camera on the hand; and a little tilted.
        flat = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
        place = np.array([0.60, 0.5 * self.board.squares_x * self.board.square_m, 0.03])
        return pose(place + self._rng.uniform(-0.02, 0.02, 3) * [1, 1, 0.5], flat @ turn)

    def _paint(self, pixels: np.ndarray) -> None:
        texture = self.model.texture("board")
        begin = int(texture.adr[0])
        count = pixels.size * int(texture.nchannel[0])
        self.model.tex_data[begin : begin + count] = np.repeat(pixels[::-1].reshape(-1), int(texture.nchannel[0]))


def _with_board(xml: str, board: BoardConfig, shape: tuple[int, ...]) -> str:
    """The scene's MJCF with a board as a mocap body; its origin and axes are OpenCV's."""
    rim = _RIM_SQUARES * board.square_m
    w, h = board.squares_x * board.square_m, board.squares_y * board.square_m
    face = [(-rim, -rim, 0), (w + rim, -rim, 0), (w + rim, h + rim, 0), (-rim, h + rim, 0)]
    back = [(x, y, 0.002) for x, y, _ in face]
    vertices = " ".join(f"{v:.6f}" for point in face + back for v in point)
    # v counts upwards in OpenGL, and the texture is painted bottom row first.
    coordinates = "0 1 1 1 1 0 0 0 " + "0.001 0.999 " * 4
    faces = "0 2 1 0 3 2 4 5 6 4 6 7 0 1 5 0 5 4 1 2 6 1 6 5 2 3 7 2 7 6 3 0 4 3 4 7"
    assets = (
        f'<texture name="board" type="2d" builtin="flat" rgb1="1 1 1" width="{shape[1]}" height="{shape[0]}"/>'
        '<material name="board" texture="board" specular="0" shininess="0"/>'
        f'<mesh name="board" vertex="{vertices}" texcoord="{coordinates}" face="{faces}"/>'
    )
    body = (
        '<body name="board" mocap="true"><geom type="mesh" mesh="board" material="board" contype="0" conaffinity="0"/>'
        "</body>"
    )
    return xml.replace("</asset>", assets + "</asset>").replace("</worldbody>", body + "</worldbody>")
