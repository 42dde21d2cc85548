"""hidapi's C library, played: SpaceMice that are plugged in, pushed and pulled out by a test.

Everything above it is genuine: easyhid's calls, its structures in C memory, and pyspacemouse's tables and parsing.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

import pyspacemouse
from easyhid.easyhid import ffi

_KEPT = 64  # reports that the kernel keeps for a reader (HIDRAW_BUFFER_SIZE)
_FULL = 350  # of a cap


@dataclass
class FakeMouse:
    """One that is plugged in, as hidraw shows it.

    Attributes:
        spec: pyspacemouse's own, so the raw reports are those of the product.
        reports: that nobody has read yet.
    """

    product: str = "SpaceMouseCompact"
    path: str = "/dev/hidraw0"
    serial: str | None = None
    usage: tuple[int, int] = (1, 8)
    readable: bool = True
    attached: bool = True
    reports: deque[bytes] = field(default_factory=lambda: deque(maxlen=_KEPT))
    down: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        spec = pyspacemouse.get_device_specs()[self.product]
        self.ids = spec.vendor_id, spec.product_id
        self.buttons = {name.lower(): button for name, button in zip(spec.button_names, spec.button_specs, strict=True)}
        self.one_report = len({axis.channel for axis in spec.mappings.values()}) == 1

    def push(self, x=0.0, y=0.0, z=0.0, rx=0.0, ry=0.0, rz=0.0) -> None:
        """Report the cap: to the right, towards the person and down, as the wire has it (HID Usage Tables, 4.2)."""
        raw = [round(value * _FULL) for value in (x, y, z, rx, ry, rz)]
        if self.one_report:
            self.reports.append(struct.pack("<B6h", 1, *raw))
        else:
            self.reports.append(struct.pack("<B3h", 1, *raw[:3]))
            self.reports.append(struct.pack("<B3h", 2, *raw[3:]))

    def press(self, button: str, down: bool = True) -> None:
        """Report the buttons."""
        (self.down.add if down else self.down.discard)(button)
        report = bytearray(7)
        report[0] = 3
        for name in self.down:
            report[self.buttons[name].byte] |= 1 << self.buttons[name].bit
        self.reports.append(bytes(report))


class FakeHidapi:
    """What easyhid calls; goes in the place of `easyhid.easyhid.hidapi`."""

    def __init__(self, *mice: FakeMouse) -> None:
        self.mice = list(mice)
        self._open: dict[int, FakeMouse] = {}
        self._memory: list[object] = []

    # Enumeration

    def hid_enumerate(self, vendor: int, product: int) -> object:
        first = ffi.NULL
        for mouse in reversed([m for m in self.mice if m.attached]):
            info = ffi.new("struct hid_device_info*")
            texts = [ffi.new("char[]", mouse.path.encode()), ffi.new("wchar_t[]", "3Dconnexion")]
            info.path, info.manufacturer_string, info.product_string = texts[0], texts[1], texts[1]
            if mouse.serial is not None:
                texts.append(ffi.new("wchar_t[]", mouse.serial))
                info.serial_number = texts[-1]
            info.vendor_id, info.product_id = mouse.ids
            info.usage_page, info.usage = mouse.usage
            info.next = first
            self._memory += [info, *texts]
            first = info
        return first

    def hid_free_enumeration(self, first: object) -> None:
        self._memory.clear()

    # One device

    def hid_open_path(self, path: object) -> object:
        for mouse in self.mice:
            if mouse.path.encode() == path and mouse.attached and mouse.readable:
                handle = len(self._open) + 1
                self._open[handle] = mouse
                return ffi.cast("hid_device*", handle)
        return ffi.NULL

    def hid_set_nonblocking(self, device: object, nonblocking: int) -> int:
        return 0

    def hid_read(self, device: object, into: object, length: int) -> int:
        mouse = self._open[int(ffi.cast("intptr_t", device))]
        if not mouse.attached:
            return -1
        if not mouse.reports:
            return 0
        report = mouse.reports.popleft()[:length]
        ffi.memmove(into, report, len(report))
        return len(report)

    def hid_close(self, device: object) -> None:
        self._open.pop(int(ffi.cast("intptr_t", device)), None)

    @property
    def open_count(self) -> int:
        """How many are open."""
        return len(self._open)
