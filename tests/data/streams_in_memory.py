"""Streams in memory, for tests of everything that reads streams."""

from __future__ import annotations

import numpy as np

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.rotation import matrix_to_quaternion

MS = 1_000_000


class ArraySource:
    """A StreamSource over arrays; counts the samples read."""

    def __init__(self, stamp, data, received=None):
        self.stamp = np.asarray(stamp, np.int64)
        self.received = self.stamp if received is None else np.asarray(received, np.int64)
        self.data = np.asarray(data)
        self.reads = 0

    def __len__(self):
        return len(self.stamp)

    def read(self, indices):
        self.reads += len(indices)
        return self.data[np.asarray(indices, int)]


def feature(alignment="previous", max_age_s=0.1, role="observation", name="x"):
    return Feature(name=name, stream=name, role=role, alignment=alignment, max_age_s=max_age_s)


def spec(shape=(1,), unit="m", rate_hz=100.0, dtype="float64", name="x", **more):
    return StreamSpec(name=name, shape=shape, dtype=dtype, unit=unit, rate_hz=rate_hz, **more)


def arm_contract(image=(8, 10)):
    """A 100 Hz arm, a 30 Hz camera, 20 Hz policies: every alignment is used."""
    streams = (
        spec((2,), "rad", 100, name="position"),
        spec((4,), "quaternion_wxyz", 100, name="orientation"),
        spec((*image, 3), "rgb", 30, "uint8", name="camera", codec="lossless"),
        spec((1,), "m", 50, name="gripper"),
        spec((2,), "rad", 20, name="action_gated"),
    )
    features = (
        feature("linear", 0.05, name="position"),
        feature("slerp", 0.05, name="orientation"),
        feature("previous", 0.15, name="camera"),
        feature("nearest", 0.05, name="gripper"),
        Feature(name="action", stream="action_gated", role="action", alignment="nearest", max_age_s=0.05),
    )
    return Contract(rig="arm", robot="arm", policy_rate_hz=20, streams=streams, features=features)


def arm_samples(contract, seconds, seed=0, start_ns=5_000 * MS):
    """Samples in order of arrival, with jittered stamps, latencies and a few lost ones."""
    rng = np.random.default_rng(seed)
    samples = []
    for s in contract.streams:
        period = 1e9 / s.rate_hz
        count = int(seconds * s.rate_hz)
        latency = 40 * MS if s.is_image else 2 * MS
        stamp = start_ns + (np.arange(count) * period + rng.uniform(0, 0.3 * period, count)).astype(np.int64)
        received = np.maximum.accumulate(stamp + (latency * rng.uniform(0.5, 1.5, count)).astype(np.int64))
        for i in range(count):
            if not s.name.startswith("action") and i and rng.random() < 0.02:
                continue
            samples.append(Sample(s.name, int(stamp[i]), int(received[i]), i, _value(s, rng, i)))
    return sorted(samples, key=lambda x: x.received_ns)


def _value(s, rng, i):
    if s.is_image:
        return rng.integers(0, 256, s.shape, dtype=np.uint8)
    if s.unit == "quaternion_wxyz":
        a = 0.1 * i
        c, n = np.cos(a), np.sin(a)
        return matrix_to_quaternion(np.array([[c, -n, 0], [n, c, 0], [0, 0, 1]])) * rng.choice([-1, 1])
    return rng.normal(size=s.shape)


def sources_of(contract, samples):
    """The samples as one ArraySource per stream."""
    out = {}
    for s in contract.streams:
        mine = [x for x in samples if x.stream == s.name]
        if mine:
            out[s.name] = ArraySource(
                [x.stamp_ns for x in mine], np.stack([x.data for x in mine]), [x.received_ns for x in mine]
            )
    return out
