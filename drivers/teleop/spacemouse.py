"""3Dconnexion SpaceMice, through pyspacemouse and hidapi; neither 3Dconnexion's driver nor spacenavd is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost, Reading
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.rig_parts.teleop import SpaceMouseConfig
from robot_learning.rig_parts.teleop_inputs import TOOL

_REPORTS = 256  # read at once, at most; the kernel keeps 64
_MULTI_AXIS = (1, 8)  # the HID usage of the axes, where a device has several interfaces (HID Usage Tables, 4.1)
_VENDOR = 0x256F  # 3Dconnexion's own; older ones have Logitech's
_PERMIT = (
    "allow it with a udev rule: "
    'KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", GROUP="plugdev" (docs/hardware/teleop.md), '
    "then plug it in anew"
)


class SpaceMouse:
    """The SpaceMouse that the rig file names, or the only one that is connected.

    Axes are those of ROS's bodies (REP 103), seen by who sits before it: x away from the person, y to the left, z up,
    turning about the same axes. The cap reports while it is off its centre, and once when it is back: without a report
    for `silence_s` the axes are taken as at rest, for a wireless one may have gone out of reach.

    Args:
        silence_s: see above.
    """

    def __init__(self, config: SpaceMouseConfig, silence_s: float) -> None:
        self._config, self._silence_ns = config, seconds_to_ns(silence_s)
        self._mouse: Any = None

    def open(self) -> Collection[str]:
        self.close()
        library = _library()
        spec, hid = self._choose(library)
        # The convention of 2.1 that is right-handed; the one it has by default is not.
        spec = library.apply_axis_convention(spec, library.AxisConvention.ROS)
        mouse = library.SpaceMouseDevice(spec, hid)
        try:
            mouse.open()
            hid.set_nonblocking(True)
        except RuntimeError:
            raise ConfigError(f"the {spec.name} at {hid.path} may not be read by this user; {_PERMIT}.") from None
        self._reports, self._moves, self._heard_ns = 0, 0, 0
        mouse.configure(callback=self._reported, dof_callback=self._moved)
        self._mouse = mouse
        self._names = tuple(name.lower() for name in spec.button_names)
        self._down: frozenset[str] = frozenset()
        return self._names

    def read(self, now_ns: int) -> Reading:
        if self._mouse is None:
            raise DeviceLost("the SpaceMouse is unplugged.")
        pressed: list[str] = []
        moves = self._moves
        # Every report that has come: one per reading would fall ever farther behind a device that sends 250 a second,
        # and a button that goes down and up between two readings would be missed.
        for _ in range(_REPORTS):
            reports = self._reports
            try:
                state = self._mouse.read()
            except Exception as error:  # easyhid's, which is importable only where hidapi is
                self.close()
                raise DeviceLost(f"the SpaceMouse is unplugged ({error}).") from None
            if self._reports == reports:
                break
            down = frozenset(name for name, on in zip(self._names, state.buttons, strict=True) if on)
            pressed += [name for name in self._names if name in down - self._down]
            self._down = down
        if self._moves > moves:
            self._heard_ns = now_ns
        axes = np.clip([getattr(state, name) for name in TOOL], -1.0, 1.0)
        if now_ns - self._heard_ns > self._silence_ns:
            axes = np.zeros(len(TOOL))
        return Reading(dict(zip(TOOL, axes.tolist(), strict=True)), self._down, tuple(pressed))

    def close(self) -> None:
        if self._mouse is not None:
            with contextlib.suppress(Exception):  # it may be gone
                self._mouse.close()
            self._mouse = None

    # Inside

    def _reported(self, state: Any) -> None:
        self._reports += 1

    def _moved(self, state: Any) -> None:
        self._moves += 1

    def _choose(self, library: Any) -> tuple[Any, Any]:
        """The specification and the HID device of the one that is meant."""
        config, specs = self._config, library.get_device_specs()
        if config.product and config.product not in specs:
            raise unknown_name("SpaceMouse (teleop.spacemouse.product)", config.product, specs)
        hids = _hid_devices()
        by_id = {spec.hid_id: spec for spec in specs.values()}
        known = [
            (by_id[hid.vendor_id, hid.product_id], hid) for hid in hids if (hid.vendor_id, hid.product_id) in by_id
        ]
        if not known:
            strange = [f"{hid.vendor_id:04x}:{hid.product_id:04x}" for hid in hids if hid.vendor_id == _VENDOR]
            more = f"; {', '.join(strange)} of 3Dconnexion is, which pyspacemouse does not know" if strange else ""
            raise ConfigError(
                f"no SpaceMouse is connected{more}; plug it in, `lsusb` lists it as 256f:... or 046d:c62..."
            )
        meant = [
            (spec, hid)
            for spec, hid in known
            if config.product in ("", spec.name)
            and config.serial in ("", hid.serial_number)
            and (not config.path or Path(config.path).resolve() == Path(hid.path).resolve())
        ]
        if len(meant) != 1:
            found = "; ".join(
                f"product: {spec.name}, serial: {hid.serial_number or 'none'}, path: {hid.path}" for spec, hid in known
            )
            raise ConfigError(
                ("none of the SpaceMice that are connected is" if not meant else "several SpaceMice are")
                + f" the one that teleop.spacemouse describes by product, serial and path; connected: {found}."
            )
        return meant[0]


def _library() -> Any:
    try:
        import pyspacemouse
    except ImportError:
        raise ConfigError("SpaceMice need pyspacemouse; run: pip install 'robot_learning[deploy]'.") from None
    except (OSError, TypeError):
        raise _no_hidapi() from None
    return pyspacemouse


def _no_hidapi() -> ConfigError:
    return ConfigError("SpaceMice need the library hidapi; run: sudo apt-get install libhidapi-hidraw0.")


def _hid_devices() -> list[Any]:
    """One per device file, of several interfaces of one device the one with the axes."""
    from easyhid import Enumeration

    try:
        found = Enumeration().find()
    except AttributeError:  # easyhid goes on without the library, until it is used
        raise _no_hidapi() from None
    by_path: dict[str, Any] = {}
    for hid in found:
        if hid.path not in by_path or (hid.usage_page, hid.usage) == _MULTI_AXIS:
            by_path[hid.path] = hid
    axes = {(h.vendor_id, h.product_id) for h in by_path.values() if (h.usage_page, h.usage) == _MULTI_AXIS}
    return [
        hid
        for hid in by_path.values()
        if (hid.usage_page, hid.usage) == _MULTI_AXIS or (hid.vendor_id, hid.product_id) not in axes
    ]
