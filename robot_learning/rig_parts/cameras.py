"""The part of a rig file about one camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Positive

Automatic = Literal["auto"]
Share = Annotated[float, Field(ge=0, le=1)]


class SpatialFilterConfig(Frozen):
    """librealsense's edge-preserving filter in the image plane; its defaults and ranges.

    Attributes:
        magnitude: iterations.
        alpha: weight of the pixel against its neighbours; 1 is no filter.
        delta: step between neighbours that is an edge and is kept [depth units, or disparities].
    """

    magnitude: Annotated[int, Field(ge=1, le=5)] = 2
    alpha: Annotated[float, Field(ge=0.25, le=1)] = 0.5
    delta: Annotated[float, Field(ge=1, le=50)] = 20.0


class TemporalFilterConfig(Frozen):
    """librealsense's filter over time; its defaults and ranges. Smears what moves: look before using it.

    Attributes:
        alpha: weight of the newest frame; 1 is no filter.
        delta: as of the spatial filter.
        persistence: how long a lost pixel keeps its last value: 0 never, 8 always; librealsense says what is between.
    """

    alpha: Share = 0.4
    delta: Annotated[float, Field(ge=1, le=100)] = 20.0
    persistence: Annotated[int, Field(ge=0, le=8)] = 3


class FiltersConfig(Frozen):
    """What is done to depth before it is aligned, in the order that librealsense recommends. None by default.

    Decimation is not offered: it changes the image's size, which the rig's contract fixes.

    Attributes:
        near_m, far_m: what is nearer or farther becomes 0 [m].
        hole_filling: where a pixel without depth takes one from: its left neighbour, the farthest or nearest around it.
    """

    near_m: Positive | None = None
    far_m: Positive | None = None
    spatial: SpatialFilterConfig | None = None
    temporal: TemporalFilterConfig | None = None
    hole_filling: Literal["left", "farthest", "nearest"] | None = None

    @model_validator(mode="after")
    def _check(self) -> FiltersConfig:
        if self.near_m is not None and self.far_m is not None and self.near_m >= self.far_m:
            raise ValueError(f"near_m = {self.near_m} must be less than far_m = {self.far_m}")
        return self


class CameraConfig(Frozen):
    """One camera; its colour stream has the camera's name, its depth stream `<name>_depth`.

    Which of the keys a type takes is in `KEYS`; docs/hardware/realsense.md explains each.

    Attributes:
        depth: for realsense, aligned with the colour image unless `align` is false.
        serial: of the device, in quotes; empty: the only one that is connected.
        file: realsense: a recording (.db3) to play instead of a device; video: what to play.
        loop: play the file again and again; else the camera is lost at its end.
        infrared: left and right, as `infra1/image_rect_raw` and `infra2/image_rect_raw`.
        align: depth as the colour camera sees it; false: as the depth camera does, `depth/image_rect_raw`.
        depth_width_px, depth_height_px: what the depth camera delivers, where that is not the size of the colour image.
        exposure_us, white_balance_k: of the colour image: `auto`, or fixed; None: as the device is.
        gain: of the colour image, in the device's own unit; fixed with the exposure, which is set with it otherwise.
        depth_exposure_us, depth_gain: of the depth camera, likewise.
        laser_mw: power of the projector; 0: off; None: as the device is.
        preset: visual preset of the depth camera, as librealsense names it, such as "High Accuracy".
        timestamps: `global`: the device's clock as librealsense maps it to this computer's; `hardware`: the device's
            clock, mapped by ourselves. Either is recorded with the frames.
        sync: of several cameras by cable: the master triggers the slaves.
        device: uvc: number or path, best one under /dev/v4l/by-id/.
        fourcc: uvc: pixel format, such as MJPG.
        play_at: video: at the file's own rate, which must be the rig's; or at the rig's rate, whatever the file's is.
    """

    type: str
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    rate_hz: Positive
    depth: bool = False
    codec: Literal["jpeg", "lossless"] = "jpeg"
    jpeg_quality: int = Field(default=92, ge=50, le=100)
    serial: str = ""
    file: str = ""
    loop: bool = False
    infrared: bool = False
    align: bool = True
    depth_width_px: int | None = Field(default=None, gt=0)
    depth_height_px: int | None = Field(default=None, gt=0)
    exposure_us: Automatic | Positive | None = None
    gain: Annotated[float, Field(ge=0)] | None = None
    white_balance_k: Automatic | Positive | None = None
    depth_exposure_us: Automatic | Positive | None = None
    depth_gain: Annotated[float, Field(ge=0)] | None = None
    laser_mw: Annotated[float, Field(ge=0)] | None = None
    preset: str = ""
    filters: FiltersConfig = FiltersConfig()
    timestamps: Literal["global", "hardware"] = "global"
    sync: Literal["off", "master", "slave", "full_slave"] = "off"
    device: str | int = ""
    fourcc: Annotated[str, Field(pattern="^(|.{4})$")] = ""
    play_at: Literal["file", "rig"] = "file"

    @model_validator(mode="before")
    @classmethod
    def _quoted_serial(cls, content: Any) -> Any:
        # YAML reads 0123 as octal and drops leading zeros: the number that arrives here may not be the one written.
        if isinstance(content, Mapping) and isinstance(content.get("serial"), int):
            raise ValueError('serial: a serial number needs quotes, such as serial: "012345678901"; YAML read a number')
        return content

    @model_validator(mode="after")
    def _check(self) -> CameraConfig:
        if self.type not in KEYS:
            return self  # of a type that is not ours; whoever makes the camera knows it or says so
        mine = KEYS[self.type]
        for key in sorted(self._given() - COMMON - mine):
            owners = " or ".join(sorted(type for type, keys in KEYS.items() if key in keys))
            raise ValueError(
                f"{key} belongs to cameras of type {owners}, not {self.type}; "
                f"a {self.type} camera takes {', '.join(sorted(mine)) or 'none of these keys'}"
            )
        if self.type == "realsense":
            self._check_realsense()
        if self.type == "video" and not self.file:
            raise ValueError("a video camera needs file: the path of what it plays")
        if self.type == "uvc" and self.device == "":
            raise ValueError("a uvc camera needs device: its number or path, such as /dev/v4l/by-id/...")
        return self

    @property
    def depth_shape(self) -> tuple[int, int]:
        """(H, W) of depth as it is published: the colour image's where it is aligned with it."""
        if self.align:
            return self.height_px, self.width_px
        return self.depth_height_px or self.height_px, self.depth_width_px or self.width_px

    def _given(self) -> set[str]:
        """Keys that say something: those written out at their defaults do not."""
        fields = type(self).model_fields
        return {key for key in self.model_fields_set if getattr(self, key) != fields[key].get_default()}

    def _check_realsense(self) -> None:
        if self.rate_hz != int(self.rate_hz):
            raise ValueError(f"rate_hz of a realsense camera is a whole number, got {self.rate_hz}")
        if (self.depth_width_px is None) != (self.depth_height_px is None):
            raise ValueError("depth_width_px and depth_height_px go together")
        live = [
            key for key in sorted(_LIVE_ONLY & self.model_fields_set) if getattr(self, key) not in (None, "", "off")
        ]
        if self.file and live:
            raise ValueError(f"{', '.join(live)}: a recording was made with what the device was set to; leave it out")
        if self.loop and not self.file:
            raise ValueError("loop is for recordings; give file, or leave it out")
        for gain, exposure in (("gain", "exposure_us"), ("depth_gain", "depth_exposure_us")):
            if getattr(self, gain) is not None and getattr(self, exposure) in (None, "auto"):
                raise ValueError(f"{gain}: automatic exposure sets the gain, too; fix {exposure} with it")
        if not self.depth:
            unused = sorted(_DEPTH_ONLY & self._given())
            if unused:
                raise ValueError(f"{', '.join(unused)}: without depth: true there is no depth; leave it out")


_LIVE_ONLY = {
    "exposure_us", "gain", "white_balance_k", "depth_exposure_us", "depth_gain", "laser_mw", "preset", "sync",
}  # fmt: skip
_DEPTH_ONLY = {"align", "filters", "depth_width_px", "depth_height_px"}
COMMON = {"type", "width_px", "height_px", "rate_hz", "codec", "jpeg_quality"}
KEYS: dict[str, set[str]] = {
    "pattern": {"depth"},
    "mujoco": {"depth"},
    "realsense": {"depth", "serial", "file", "loop", "infrared", "timestamps", *_LIVE_ONLY, *_DEPTH_ONLY},
    "uvc": {"device", "fourcc", "exposure_us", "gain", "white_balance_k"},
    "video": {"file", "loop", "play_at"},
}
