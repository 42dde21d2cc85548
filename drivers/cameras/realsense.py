"""A RealSense camera, or a recording of one, through librealsense's pipeline."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.clock import Clock
from robot_learning.drivers.cameras import realsense_device as devices
from robot_learning.drivers.cameras import realsense_options
from robot_learning.drivers.cameras.pairing import Pairing
from robot_learning.drivers.cameras.realsense_depth import DepthChain
from robot_learning.drivers.cameras.realsense_lens import align_ignores_bend, bend, lens_of, lens_text
from robot_learning.drivers.cameras.stamps import DeviceTime, FrameCount, Rising
from robot_learning.drivers.interfaces import CameraFrame, CameraLost, Lens
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig_parts.cameras import CameraConfig

_QUEUED = 8  # framesets; a reader that is slower loses the oldest, which leaves holes in the frame numbers
_POLL_MS = 100
_FIRST_S, _SILENT_S = 5.0, 2.0  # the first frame waits for the sensors to start
_SETTLE_S = 0.3  # at a recording's end: a pipeline stopped while librealsense's reader still ends has crashed, rarely
_NS_PER_MS = 1_000_000
_PLAUSIBLE_MS = (-50.0, 2000.0)  # age of a frame whose stamp is in this computer's time
_EXPOSURE_MS = 200.0  # longest way from mid-exposure to the device's stamp that is believed


class RealSenseCamera:
    """Colour, depth and infrared of one device, each stamped by the device's clock where it has one.

    Every method but `diagnostics` is for one thread, and so is the pipeline, which is made anew at each connection.
    """

    def __init__(self, name: str, config: CameraConfig, clock: Clock) -> None:
        self.name, self._config, self._clock = name, config, clock
        self._period_ms = 1e3 / config.rate_hz
        self._pipeline: Any = None
        self._chain: DepthChain | None = None
        self._time, self._count, self._depth_count = DeviceTime(), FrameCount(), FrameCount()
        self._rising, self._unpaired = Rising(), 0
        self._domain = ""
        self._bend_unknown = False
        self._lenses: dict[str, Lens] = {}
        self._found: devices.Found | None = None

    # Connection

    def connect(self) -> None:
        """Open the device or the recording, set it and start its streams.

        Raises:
            UserError: it is not there; the message lists the serial numbers that are.
            ConfigError: it does not offer what the rig asks for; the message lists what it offers.
        """
        self._rs = devices.library()
        self.disconnect()
        try:
            self._open()
        except RuntimeError as error:
            self.disconnect()
            where = f"the recording {self._config.file}" if self._config.file else "the device"
            raise devices.explained(self.name, where, error) from None
        except UserError:
            self.disconnect()
            raise

    def _open(self) -> None:
        rs, config = self._rs, self._config
        context = rs.context()
        pipeline, request = rs.pipeline(context), rs.config()
        if config.file:
            path = Path(config.file).expanduser().resolve()
            if not path.is_file():
                raise ConfigError(
                    f"the camera '{self.name}': there is no recording {path}; record one with the RealSense Viewer, "
                    f"or make one: python -m robot_learning.drivers.cameras.synthetic {config.file} "
                    f"--width {config.width_px} --height {config.height_px} --rate {config.rate_hz:g}"
                )
            request.enable_device_from_file(str(path), repeat_playback=config.loop)
            device = devices.choose(
                self.name, config.serial, [request.resolve(rs.pipeline_wrapper(pipeline)).get_device()]
            )
        else:
            device = devices.choose(self.name, config.serial, devices.connected(context))
            request.enable_device(devices.about(device).serial)
        wanted = devices.wanted(config)
        formats = [devices.format_for(self.name, want, device) for want in wanted]
        for want, format in zip(wanted, formats, strict=True):
            request.enable_stream(want.stream, want.index, want.width, want.height, format, want.rate)
        if not config.file:
            realsense_options.apply(self.name, config, device)
        queue = rs.frame_queue(_QUEUED)
        profile = pipeline.start(request, queue)
        self._pipeline, self._queue, self._device = pipeline, queue, profile.get_device()
        atexit.register(self.disconnect)  # a pipeline that still runs as Python ends aborts the process
        self._found = devices.about(self._device)
        self._playback = self._device.as_playback() if config.file else None
        self._swap = formats[0] == rs.format.bgr8
        colour = profile.get_stream(rs.stream.color).as_video_stream_profile()
        self._describe(profile, colour)
        others = [_depth] if config.depth else []
        others += [partial(_infrared, index=index) for index in (1, 2)] if config.infrared else []
        self._pairing, self._others = Pairing(self._period_ms, others), others
        self._ready: deque[tuple[Any, int]] = deque()
        ignored = align_ignores_bend(colour) if config.depth and config.align else False
        table = bend(self._lenses["color"]) if ignored else None
        self._chain = DepthChain(config.filters, config.align, table) if config.depth else None
        self._bend_unknown = ignored is None
        for part in (self._time, self._count, self._depth_count):
            part.restart()
        self._patience_s = _FIRST_S

    def _describe(self, profile: Any, colour: Any) -> None:
        rs, config = self._rs, self._config
        streams = {"color": colour}
        if config.depth:
            streams["depth"] = profile.get_stream(rs.stream.depth).as_video_stream_profile()
        if config.infrared:
            for index in (1, 2):
                streams[f"infra{index}"] = profile.get_stream(rs.stream.infrared, index).as_video_stream_profile()
        self._lenses = {name: lens_of(stream, colour) for name, stream in streams.items()}

    def disconnect(self) -> None:
        """Stop the streams and release the device; harmless where it was unplugged."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            atexit.unregister(self.disconnect)
            with contextlib.suppress(RuntimeError):
                pipeline.stop()
            # Frames and filters keep the device open.
            self._queue = self._device = self._playback = self._chain = None
            self._ready.clear()
            self._pairing.flush()

    # Frames

    def read(self) -> CameraFrame:
        """The next frame; blocks until there is one. Raises CameraLost where none comes any more."""
        if self._pipeline is None:
            raise CameraLost(f"the camera '{self.name}' is not connected.")
        try:
            frame = self._frame(*self._next())
        except RuntimeError as error:
            raise CameraLost(f"the camera '{self.name}' failed: {error}.") from None
        self._patience_s = _SILENT_S
        return frame

    def _next(self) -> tuple[Any, int]:
        """The next set of frames, and when its colour image came."""
        begun = time.monotonic()
        while not self._ready:
            came, frame = self._queue.try_wait_for_frame(_POLL_MS)
            if came:
                self._ready.extend(self._pairing.offer(frame.as_frameset(), self._clock.now_ns()))
            elif self._at_end():
                self._ready.extend(self._pairing.flush())
                if not self._ready:
                    time.sleep(_SETTLE_S)
                    raise CameraLost(
                        f"the camera '{self.name}': the recording {self._config.file} is at its end; "
                        f"cameras.{self.name}.loop: true plays it again and again."
                    )
            if not self._ready and time.monotonic() - begun > self._patience_s:
                raise CameraLost(self._silence())
        return self._ready.popleft()

    def _frame(self, frameset: Any, arrived_ns: int) -> CameraFrame:
        colour = frameset.get_color_frame()
        depth = infrared = None
        if self._chain is not None:
            if self._pairing.belongs(frameset, _depth):
                self._depth_count.see(frameset.get_depth_frame().get_frame_number())
                depth = self._chain(frameset)
            else:
                self._unpaired += 1
        if self._config.infrared and all(self._pairing.belongs(frameset, other) for other in self._others[-2:]):
            infrared = np.stack([np.asanyarray(other(frameset).get_data()) for other in self._others[-2:]])
        pixels = np.asanyarray(colour.get_data())
        stamp = self._rising(self._stamp(colour, arrived_ns))
        return CameraFrame(
            stamp_ns=stamp,
            sequence=self._count.see(colour.get_frame_number()),
            colour=np.ascontiguousarray(pixels[:, :, ::-1]) if self._swap else pixels.copy(),
            depth=depth,
            infrared=infrared,
            domain=self._domain,
        )

    def _stamp(self, frame: Any, arrived_ns: int) -> int:
        """Mid-exposure, where the device says how far that is from its stamp, in our time [ns]."""
        at_ms, domains = frame.get_timestamp(), self._rs.timestamp_domain
        domain = frame.get_frame_timestamp_domain()
        self._domain = domain.name
        since_exposure_ns = round(self._since_exposure_ms(frame) * _NS_PER_MS)
        if self._playback is None and domain in (domains.global_time, domains.system_time):
            age_ms = time.time_ns() / _NS_PER_MS - at_ms
            if _PLAUSIBLE_MS[0] <= age_ms <= _PLAUSIBLE_MS[1]:
                return self._clock.now_ns() - round(age_ms * _NS_PER_MS) - since_exposure_ns
        return self._time.map(at_ms, arrived_ns) - since_exposure_ns

    def _since_exposure_ms(self, frame: Any) -> float:
        """From mid-exposure to the frame's stamp; 0 where the device does not tell both in its metadata."""
        metadata = self._rs.frame_metadata_value
        keys = metadata.sensor_timestamp, metadata.frame_timestamp  # microseconds of the device's clock
        if not all(frame.supports_frame_metadata(key) for key in keys):
            return 0.0
        middle, stamp = (frame.get_frame_metadata(key) for key in keys)
        since_ms = (stamp - middle) / 1e3
        return since_ms if 0 <= since_ms <= _EXPOSURE_MS else 0.0

    # What is known of it

    def intrinsics(self) -> np.ndarray:
        """The pinhole matrix (3, 3) [px] of the colour image."""
        return self._lens("color").matrix

    def distortion(self) -> np.ndarray:
        """Of the colour image: (5,) k1, k2, p1, p2, k3."""
        return self._lens("color").distortion

    def lenses(self) -> dict[str, Lens]:
        """`color`, and `depth`, `infra1`, `infra2` where they were asked for."""
        return dict(self._lenses)

    def diagnostics(self) -> dict[str, str]:
        """What the device is and what it lost; from any thread."""
        found = self._found
        if found is None:
            return {}
        values = {
            "device": found.name, "serial": found.serial, "firmware": found.firmware, "usb": found.usb,
            "source": self._config.file or "device",
            "timestamp_domain": self._domain,
            "frames": str(self._count.frames),
            "missing": str(self._count.missing),
        }  # fmt: skip
        if self._config.depth:
            values |= {"depth_missing": str(self._depth_count.missing), "depth_unpaired": str(self._unpaired)}
        for name, lens in self._lenses.items():
            values |= lens_text(name, lens)
        warnings = [devices.usb_warning(found)] if self._playback is None else []
        if self._domain == "system_time":
            warnings.append("stamped when frames came, not when they were taken: see docs/hardware/realsense.md, Time")
        if self._bend_unknown:
            warnings.append(
                "whether librealsense aligns depth with this bent lens exactly is not known on this machine"
            )
        if warning := "; ".join(w for w in warnings if w):
            values["warning"] = warning
        return values

    # Trouble

    def _lens(self, name: str) -> Lens:
        if name not in self._lenses:
            raise UserError(f"the camera '{self.name}' is not connected; its lens is known afterwards.")
        return self._lenses[name]

    def _at_end(self) -> bool:
        if self._playback is None or self._config.loop:
            return False
        return bool(self._playback.current_status() == self._rs.playback_status.stopped)

    def _silence(self) -> str:
        """Why nothing comes."""
        found = self._found
        if self._playback is not None:
            return f"the camera '{self.name}': the recording {self._config.file} gives no more frames."
        present = [devices.about(device).serial for device in devices.connected(self._rs.context())]
        if found and found.serial not in present:
            return f"the camera '{self.name}', {found}, was unplugged; plug it in again."
        return (
            f"the camera '{self.name}', {found}, has given no frame for {self._patience_s:g} s; if it stays so, "
            "plug it into another USB 3 port, without a hub. A slave (sync) gives none without its master's cable."
        )


def _depth(frameset: Any) -> Any:
    return frameset.get_depth_frame()


def _infrared(frameset: Any, index: int) -> Any:
    return frameset.get_infrared_frame(index)
