"""A small store: a point that is driven to a goal, seen as numbers and, if wanted, in a picture."""

from pathlib import Path

import numpy as np

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter

RATE_HZ = 10.0
STEP_NS = 100_000_000


class StillClock:
    """A clock that does not move."""

    def now_ns(self):
        return 0

    def sleep_until(self, stamp_ns):
        pass


def contract(image=False):
    def stream(name, shape, unit, **more):
        return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=RATE_HZ, **more)

    def feature(name, stream="", **more):
        return Feature(name=name, stream=stream or name, alignment="previous", max_age_s=0.15, **more)

    streams = [
        stream("position", (2,), "m"),
        stream("heading", (1,), "angle_rad"),
        stream("goal", (2,), "m"),
        stream("action_gated", (2,), "m"),
    ]
    features = [
        feature("position", role="observation"),
        feature("heading", role="observation"),
        feature("goal", role="observation", privileged=True),
        feature("action", "action_gated", role="action"),
    ]
    if image:
        streams.append(
            StreamSpec(name="camera", shape=(64, 64, 3), dtype="uint8", unit="rgb", rate_hz=RATE_HZ, codec="lossless")
        )
        features.append(feature("camera", role="observation"))
    return Contract(rig="toy", robot="point", policy_rate_hz=RATE_HZ, streams=tuple(streams), features=tuple(features))


def picture(position, goal):
    frame = np.zeros((64, 64, 3), np.uint8)
    for channel, place in enumerate((position, goal)):
        row, column = np.clip((place * 56).astype(int), 0, 56)
        frame[row : row + 8, column : column + 8, channel] = 255
    return frame


def make_store(path: Path, episodes=6, steps=20, image=False, outcome="success", spoil=None) -> Store:
    """`spoil(episode, step, values)` may change what is recorded."""
    store = Store.open_or_create(path)
    rng = np.random.default_rng(len(store.episodes()))
    here = contract(image)
    for episode in range(episodes):
        position, goal = rng.uniform(0, 1, (2, 2))
        writer = EpisodeWriter(store, here, {"task": "go there"}, StillClock())
        samples = []
        for step in range(steps):
            action = position + np.clip(goal - position, -0.1, 0.1)
            values = {
                "position": position,
                "heading": np.arctan2(*(goal - position)[None].T),
                "goal": goal,
                "action_gated": action,
            }
            if image:
                values["camera"] = picture(position, goal)
            if spoil:
                spoil(episode, step, values)
            stamp = (step + 1) * STEP_NS
            samples += [Sample(name, stamp, stamp, step, value) for name, value in values.items()]
            position = action
        writer.append(samples)
        writer.seal(outcome, "done")
    return store
