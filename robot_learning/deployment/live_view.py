"""The live view: what a rig does, in a browser, through Rerun's viewer. No ROS."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import simplejpeg

from robot_learning.clock import seconds_to_ns
from robot_learning.deployment import keeper
from robot_learning.errors import ConfigError, UserError

HOST = "127.0.0.1"  # nothing is served beyond this machine; elsewhere: ssh -L
_IMAGE_HZ, _PLOT_HZ, _STATUS_HZ = 10.0, 25.0, 4.0  # enough for eyes, and little work beside the rig's own
_SHOWN_S = 20.0
_PATIENCE_S = 15.0
_TIMELINE = "time"
_LEVELS = ("INFO", "WARN", "ERROR")


def rerun() -> Any:
    """The module, or a sentence that says how to get it."""
    try:
        import rerun
    except ImportError as error:
        raise ConfigError(
            f"the live view needs rerun-sdk ({error}); run: pip install 'robot_learning[deploy]'."
        ) from None
    return rerun


class Viewer:
    """Rerun's server and web viewer in a process of their own, on this machine only; it ends with this one.

    Args:
        web_port: where the browser looks.
        data_port: where the data goes.
        memory: what the server may keep for browsers that come later, such as `500MB`.

    Attributes:
        url: what to open.

    Raises:
        UserError: a port is taken, or it does not start.
    """

    def __init__(self, web_port: int, data_port: int, memory: str) -> None:
        import rerun_cli

        for port in (web_port, data_port):
            _require_free(port)
        # Rerun reports on its users' doings unless its own settings say no: so it gets settings of its own.
        self._settings = tempfile.TemporaryDirectory(prefix="robot_learning_live_")
        _opt_out(Path(self._settings.name))
        folders = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME"), self._settings.name)
        self._process = subprocess.Popen(
            [
                str(Path(rerun_cli.__file__).parent / "rerun"), "--serve-web", "--bind", HOST,
                "--port", str(data_port), "--web-viewer-port", str(web_port),
                "--server-memory-limit", memory, "--hide-welcome-screen",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env=dict(os.environ) | folders,
        )  # fmt: skip
        self._keeper = subprocess.Popen([sys.executable, keeper.__file__, "2"], stdin=subprocess.PIPE)
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"+{self._process.pid} 0 1\n".encode())
        self._keeper.stdin.flush()
        self._data_url = f"rerun+http://{HOST}:{data_port}/proxy"
        self.url = f"http://{HOST}:{web_port}/?url={quote(self._data_url, safe='')}"
        self._await((web_port, data_port))

    def connect(self, stream: Any, layout: Any) -> None:
        """Have one of Rerun's streams shown."""
        stream.connect_grpc(self._data_url, default_blueprint=layout)

    def close(self) -> None:
        """End it; any number of times."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._keeper.poll() is None:
            self._keeper.communicate(f"-{self._process.pid}\n".encode())
        self._settings.cleanup()

    def _await(self, ports: Sequence[int]) -> None:
        end = time.monotonic() + _PATIENCE_S
        for port in ports:
            while not _answers(port):
                if self._process.poll() is not None or time.monotonic() > end:
                    self.close()
                    raise UserError(f"Rerun's viewer does not start (exit code {self._process.poll()}).")
                time.sleep(0.05)


class LiveView:
    """Writes what a rig does to a viewer, at rates that eyes can follow.

    Args:
        open: given Rerun's stream and the layout, connects them with a viewer.
        cameras: in the order in which they are shown.
        plots: title to the lines in it: name of the values to the lines' labels.
    """

    def __init__(
        self,
        title: str,
        open: Callable[[Any, Any], None],
        cameras: Sequence[str],
        plots: Mapping[str, Mapping[str, Sequence[str]]],
    ) -> None:
        self._rr = rr = rerun()
        self._stream = rr.RecordingStream(f"robot_learning: {title}")
        open(self._stream, _blueprint(cameras, list(plots)))
        self._entities = {name: f"plots/{plot}/{name}" for plot, lines in plots.items() for name in lines}
        for plot, lines in plots.items():
            for name, labels in lines.items():
                self._stream.log(f"plots/{plot}/{name}", rr.SeriesLines(names=list(labels)), static=True)
        self._shown: dict[str, int] = {}  # entity: stamp of what was shown last
        self._states: dict[str, tuple[str, dict[str, str]]] = {}

    def image(self, camera: str, stamp_ns: int, pixels: np.ndarray) -> None:
        """One frame, (H, W, 3) uint8."""
        entity = f"cameras/{camera}"
        if self._due(entity, stamp_ns, _IMAGE_HZ):
            jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=80)
            self._log(entity, stamp_ns, self._rr.EncodedImage(contents=jpeg, media_type="image/jpeg"))

    def values(self, name: str, stamp_ns: int, values: np.ndarray) -> None:
        """One point on each line that these values have in a plot."""
        entity = self._entities[name]
        if self._due(entity, stamp_ns, _PLOT_HZ):
            self._log(entity, stamp_ns, self._rr.Scalars(np.asarray(values, dtype=np.float64)))

    def state(self, part: str, stamp_ns: int, headline: str, values: Mapping[str, str]) -> None:
        """What a part of the station says of itself: a heading with a table."""
        changed = part not in self._states or self._states[part][0] != headline
        self._states[part] = headline, dict(values)
        if changed or self._due("status", stamp_ns, _STATUS_HZ):
            text = "\n\n".join(_section(part, *self._states[part]) for part in sorted(self._states))
            self._log("status", stamp_ns, self._rr.TextDocument(text, media_type="text/markdown"))

    def event(self, stamp_ns: int, level: int, text: str) -> None:
        """A line of the log; `level` is 0 for information, 1 for warnings, 2 for errors."""
        self._log("events", stamp_ns, self._rr.TextLog(text, level=_LEVELS[min(level, 2)]))

    def forget(self) -> None:
        """Time was set: what was shown lately says nothing about what is due."""
        self._shown.clear()

    def close(self) -> None:
        """Send what is left."""
        self._stream.flush(blocking=False)
        self._stream.disconnect()

    def _due(self, entity: str, stamp_ns: int, rate_hz: float) -> bool:
        last = self._shown.get(entity)
        if last is not None and stamp_ns - last < seconds_to_ns(0.9 / rate_hz):
            return False
        self._shown[entity] = stamp_ns
        return True

    def _log(self, entity: str, stamp_ns: int, what: Any) -> None:
        self._stream.set_time(_TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.log(entity, what)


def _blueprint(cameras: Sequence[str], plots: Sequence[str]) -> Any:
    """Cameras and the status above; plots and the log below."""
    import rerun.blueprint as rrb

    # Bare integers, for Rerun's own TimeInt needs numpy 2.
    start, end = (
        rrb.TimeRangeBoundary(inner=ns, kind="cursor_relative")  # type: ignore[arg-type]
        for ns in (-seconds_to_ns(_SHOWN_S), 0)
    )
    latest = rrb.VisibleTimeRange(_TIMELINE, start=start, end=end)
    pictures = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in cameras]
    curves = [rrb.TimeSeriesView(origin=f"plots/{name}", name=name, time_ranges=[latest]) for name in plots]
    below = [*curves, rrb.TextLogView(origin="events", name="events")]
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*pictures, rrb.TextDocumentView(origin="status", name="status")),
            rrb.Horizontal(*below, column_shares=[*[2] * len(curves), 3]),
            row_shares=[3, 2],
        ),
        rrb.TimePanel(state="collapsed"),
        collapse_panels=True,
    )


def _section(part: str, headline: str, values: Mapping[str, str]) -> str:
    rows = [f"| {key} | {value} |" for key, value in values.items() if value]
    return "\n".join([f"**{part}: {headline}**", "", "| | |", "|---|---|", *rows])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigError(f"port {port} is taken on this machine; give another with --port.") from None


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 0.5):
        return True
    return False


def _opt_out(folder: Path) -> None:
    file = folder / "rerun" / "analytics.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"analytics_enabled": False, "analytics_id": "", "metadata": {}}))
