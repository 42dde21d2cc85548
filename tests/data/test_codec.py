"""JPEG frames through zarr's own machinery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import recordings
import zarr

from robot_learning.data.codec import NAME, Jpeg, decode_jpeg, encode_jpeg
from robot_learning.data.format import ArrayLayout

FRAMES = np.stack([recordings.value("front", i) for i in range(5)])


def test_zarr_writes_and_reads_frames_through_the_codec(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(5, 16, 24, 3), dtype="uint8", chunks=(1, 16, 24, 3), shards=(4, 16, 24, 3),
        serializer=Jpeg(92), compressors=None,
    )  # fmt: skip
    array[:] = FRAMES
    reread = zarr.open_array(tmp_path / "a", mode="r")
    for i, frame in enumerate(FRAMES):
        assert np.array_equal(reread[i], decode_jpeg(encode_jpeg(frame, 92)))
        assert np.abs(reread[i].astype(int) - frame).mean() < 4


def test_a_higher_quality_is_nearer_and_larger() -> None:
    frame = FRAMES[0]
    low, high = encode_jpeg(frame, 60), encode_jpeg(frame, 98)
    assert len(low) < len(high)
    error = [np.abs(decode_jpeg(data).astype(int) - frame).mean() for data in (low, high)]
    assert error[1] < error[0]


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 16, 24), "uint8"), ((5, 16, 24, 3), "uint16"), ((5, 16, 24, 4), "uint8")]
)
def test_arrays_that_are_no_colour_frames_are_refused(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ValueError, match="takes uint8"):
        zarr.create_array(
            tmp_path / "a", shape=shape, dtype=dtype, chunks=(1, *shape[1:]), serializer=Jpeg(92), compressors=None
        )


def test_plain_zarr_finds_the_codec_without_importing_us(tmp_path: Path) -> None:
    episode = recordings.record(recordings.new_store(tmp_path))
    script = (
        "import sys, zarr; g = zarr.open(sys.argv[1], mode='r'); "
        "print(g['front/data'][7].sum(), g['joint_position/data'][700, 3], g['wrist/time'][-1, 2])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, str(episode.path)], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.split()
    frame = recordings.stored_value("front", 7)
    assert printed == [str(frame.sum()), str(recordings.value("joint_position", 700)[3]), "299"]
    assert NAME == "robot_learning.jpeg"


@pytest.mark.parametrize("spec", recordings.STREAMS, ids=lambda s: s.name)
def test_each_layout_encodes_as_zarr_would_decode(tmp_path: Path, spec) -> None:
    episode = recordings.record(recordings.new_store(tmp_path))
    stream = episode.streams[spec.name]
    assert np.array_equal(stream.data[:], stream.read(np.arange(len(stream))))
    assert np.array_equal(episode.group[f"{spec.name}/time"][:, 0], stream.stamp)


def test_booleans_integers_and_large_vectors_round_trip() -> None:
    rng = np.random.default_rng(0)
    for dtype, shape in (("bool", (3,)), ("int8", ()), ("uint32", (2, 2)), ("float32", (64, 512))):
        layout = ArrayLayout(shape, dtype)
        block = (rng.random((layout.chunk, *shape)) * 100).astype(dtype)
        assert np.array_equal(layout.decode(layout.encode(block)), block)
    assert ArrayLayout((64, 512), "float32").chunk == 1
    assert ArrayLayout((7,), "float64").chunk == 1024
