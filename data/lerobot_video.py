"""Videos of LeRobot's datasets, through the ffmpeg that imageio-ffmpeg brings along."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np

from robot_learning.errors import UserError

CRF = "18"  # x264's quality; 0 is lossless, 23 its default
KEYFRAMES = "2"  # a key frame every other frame, as LeRobot does: a training step reads single frames


def require_ffmpeg() -> str:
    """Path of the ffmpeg binary, or the error that says how to get one."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise UserError("videos need imageio-ffmpeg; install it with: pip install 'robot_learning[convert]'.") from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def read_video(path: Path, first_s: float, count: int, shape: tuple[int, ...], fps: float) -> np.ndarray:
    """Decode `count` frames from `first_s` [s] on, (count, H, W, 3) uint8.

    Raises:
        UserError: the file is missing or damaged, or has fewer frames, or of another size, than the dataset says.
    """
    if not path.is_file():
        raise UserError(f"the dataset has no {path}; copy it again, videos included.")
    # Seeking goes to the last frame at or before the time given, so half a frame makes rounding harmless.
    seek = ["-ss", f"{first_s - 0.5 / fps:.6f}"] if first_s > 0 else []
    # Without "bilinear", ffmpeg's command line would interpolate colours otherwise than all readers by library do.
    how = ["-map", "0:v:0", "-fps_mode", "passthrough", "-frames:v", str(count), "-sws_flags", "bilinear"]
    command = [require_ffmpeg(), "-nostdin", "-v", "error", *seek, "-i", str(path), *how]
    got = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=False)
    size = int(np.prod(shape))
    if got.returncode or len(got.stdout) != count * size:
        told = got.stderr.decode(errors="replace").strip().splitlines()
        found = told[-1] if told else f"{len(got.stdout) / size:g} frames"
        raise UserError(f"{path} should hold {count} frames of {shape} from {first_s:g} s on; ffmpeg found: {found}.")
    return np.frombuffer(got.stdout, np.uint8).reshape(count, *shape)


class VideoWriter:
    """One H.264 video in the making; frames are written as they come."""

    def __init__(self, path: Path, shape: tuple[int, ...], fps: float) -> None:
        height, width = shape[:2]
        if height % 2 or width % 2:
            raise UserError(f"H.264 needs an even height and width; got {height}x{width}. Export with --images image.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.frames = 0
        rate = Fraction(fps).limit_denominator(100_000)
        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
        made = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", CRF, "-g", KEYFRAMES, "-bf", "0", "-threads", "1"]
        command = [require_ffmpeg(), "-v", "error", "-y", *given, *made, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, frames: np.ndarray) -> None:
        """Append (n, H, W, 3) uint8."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frames, np.uint8).data)
        except BrokenPipeError:
            self.close()
        self.frames += len(frames)

    @property
    def size(self) -> int:
        """Bytes on the disk so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Finish the file; UserError where ffmpeg failed."""
        _, told = self._process.communicate()
        if self._process.returncode:
            raise UserError(f"ffmpeg could not write {self.path}: {told.decode(errors='replace').strip()[-300:]}.")
