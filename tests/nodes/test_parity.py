"""Parity over real DDS: what a policy sees live through the intake is what training reads from the store."""

from pathlib import Path

import pytest
import yaml
from fake_rig import FakeRig, small_rig

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import numpy as np
from live_tap import TO
from recording import Recording

from robot_learning.data.cache import TrainingCache, Windows
from robot_learning.data.codec import decode_jpeg, encode_jpeg
from robot_learning.data.store import Store
from robot_learning.data.windows import StaleObservation, WindowSpec, observe

QUALITY = 92


def rig_with_two_cameras(folder):
    """One camera without loss, one with JPEG."""
    content = yaml.safe_load(small_rig(folder).read_text())
    front = content["cameras"]["front"]
    content["cameras"]["wrist"] = front | {"codec": "jpeg", "jpeg_quality": QUALITY, "rate_hz": 15}
    content["policy"]["alignment"]["wrist"] = {"method": "nearest", "max_age_s": 0.4}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_windows_from_the_store_are_those_that_a_policy_saw_live(graph, tmp_path):
    path, tap = rig_with_two_cameras(tmp_path), tmp_path / "tap.npz"
    rig = FakeRig(graph, path, "/small")
    env = {"LIVE_TAP": str(tap), "PYTHONPATH": str(Path(__file__).parent)}
    recorder = Recording(graph, path, tmp_path / "store", "/small", module="live_tap", env=env)
    recorder.begin()
    recorder.record_for(600)
    rig.gap("front", 0.7)  # longer than a frame may be old, shorter than what ends the episode
    recorder.record_for(1500)
    assert recorder.call("success").success
    episode = recorder.until_ended()
    assert episode.metadata["termination_reason"] == "operator"

    flat = dict(np.load(tap))
    live: dict[int, dict] = {}
    for key, value in flat.items():
        index, name = key.split(".")
        live.setdefault(int(flat[f"{index}.time"]), {})[name] = value
    contract = episode.contract
    observations = [f.name for f in contract.observations]
    exact = [name for name in observations if name != "wrist"]
    assert episode.quality["streams"]["front"]["latency_mean_s"] > 0  # received is not the stamp

    stale = 0
    for time, window in live.items():  # every grid time, and bit for bit
        if "stale" in window:
            stale += 1
            with pytest.raises(StaleObservation):
                observe(contract, episode.streams, time, TO, observations)
            continue
        stored = observe(contract, episode.streams, time, TO, observations)
        for name in exact:
            assert np.array_equal(stored[name], window[name]), (name, time)
        lossy = np.stack([decode_jpeg(encode_jpeg(frame, QUALITY)) for frame in window["wrist"]])
        assert np.array_equal(stored["wrist"], lossy), time  # what JPEG loses, and nothing else
    assert 0 < stale < len(live) / 2  # the gap

    cache = TrainingCache.build(
        Store.open(recorder.path), [*observations, "action"], root=tmp_path / "cache", progress=False
    )
    assert set(cache.times.tolist()) <= set(live)
    windows = Windows(cache, WindowSpec(TO, 4), observations, ["action"])
    assert len(windows) > 20
    batch = windows.batch(np.arange(len(windows)))["observation"]
    for i, row in enumerate(windows.rows):
        seen = live[int(cache.times[row])]
        for name in exact:
            assert np.allclose(batch[name][i], seen[name], atol=1e-6), (name, row)
