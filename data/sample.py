"""One stamped measurement, as it travels from a sensor to the store or to a policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """One value of one stream.

    Attributes:
        stream: the stream's name in the contract.
        stamp_ns: when the value was true, on the sensor's clock [ns]; measured, never computed from an index.
        received_ns: when it reached this process [ns].
        sequence: the source's own count; a hole in it is a dropped sample.
        data: the value, of the stream's shape and dtype.
    """

    stream: str
    stamp_ns: int
    received_ns: int
    sequence: int
    data: np.ndarray
