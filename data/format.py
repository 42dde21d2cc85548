"""Names, version and array layout of the stored format; docs/store.md is its specification."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs import Blosc, Zstd
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.codec import Jpeg, decode_jpeg, encode_jpeg
from robot_learning.errors import StoreError

VERSION = 1
STORE_FILE = "store.json"
OPEN, EPISODES, EDITS = "open", "episodes", "edits"
ATTRIBUTE = "robot_learning"  # the root group's attribute that holds everything about an episode
SUMS = "SHA256SUMS"
TIME_COLUMNS = ("stamp", "received", "sequence")
CHUNKS_PER_SHARD = 256  # a reader fetches a shard's whole index (4 KiB) for each frame
CHUNK_BYTES = 64 * 1024  # small samples are stored in blocks of about this size
OUTCOMES = ("success", "failure", None)


@dataclass(frozen=True)
class ArrayLayout:
    """How one array is cut and encoded.

    Attributes:
        shape: of one sample.
        codec: as in :class:`StreamSpec`.
        chunk: samples per inner chunk; 1 where a sample is large, so that it can be read alone.
        shard: samples per file.
    """

    shape: tuple[int, ...]
    dtype: str
    codec: str = "raw"
    quality: int = 0

    @property
    def sample_bytes(self) -> int:
        """Size of one sample before encoding."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def chunk(self) -> int:
        """Samples per inner chunk, a power of two."""
        if self.codec != "raw":
            return 1
        fits = max(1, CHUNK_BYTES // max(1, self.sample_bytes))
        return min(1024, 1 << (fits.bit_length() - 1))

    @property
    def shard(self) -> int:
        """Samples per shard."""
        return self.chunk * CHUNKS_PER_SHARD

    @property
    def shard_name(self) -> str:
        """Name of shard `{}` in the array's directory."""
        return "c.{}" + ".0" * len(self.shape)

    def encode(self, block: np.ndarray) -> bytes:
        """One inner chunk, (chunk, *shape), exactly as zarr's codecs would encode it."""
        if self.codec == "jpeg":
            data = encode_jpeg(block[0], self.quality)
        elif self.codec == "lossless":
            data = Zstd(level=1).encode(np.ascontiguousarray(block))
        else:
            little = np.ascontiguousarray(block, np.dtype(self.dtype).newbyteorder("<"))
            data = Blosc("zstd", clevel=1, shuffle=Blosc.BITSHUFFLE).encode(little)
        return data + google_crc32c.value(bytes(data)).to_bytes(4, "little")

    def decode(self, chunk: bytes) -> np.ndarray:
        """(chunk, *shape) samples of an inner chunk; ValueError or RuntimeError where it is damaged."""
        if not intact(chunk):
            raise ValueError("the chunk does not match its checksum")
        if self.codec == "jpeg":
            return decode_jpeg(chunk[:-4])[None]
        data = Zstd().decode(chunk[:-4]) if self.codec == "lossless" else Blosc().decode(chunk[:-4])
        little = np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<"))
        return little.reshape(self.chunk, *self.shape).astype(self.dtype, copy=False)

    def metadata(self, length: int) -> dict[str, Any]:
        """The array's `zarr.json` for `length` samples."""
        document = json.loads(_metadata(self))
        document["shape"][0] = length
        return document


def intact(chunk: bytes) -> bool:
    """Whether a chunk's last four bytes are the CRC-32C of the rest."""
    return len(chunk) > 4 and google_crc32c.value(chunk[:-4]) == int.from_bytes(chunk[-4:], "little")


TIME = ArrayLayout((len(TIME_COLUMNS),), "int64")


def layout_of(spec: StreamSpec) -> ArrayLayout:
    """The layout of a stream's `data`."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind not in "biuf":
        raise StoreError(f"stream '{spec.name}' has dtype {spec.dtype}; a store holds booleans, integers and floats.")
    return ArrayLayout(spec.shape, dtype.name, spec.codec, spec.jpeg_quality if spec.codec == "jpeg" else 0)


@lru_cache(maxsize=256)
def _metadata(layout: ArrayLayout) -> bytes:
    """zarr's own metadata for an empty array of this layout, so that it is valid by construction."""
    compressors: list[BytesBytesCodec] = [Crc32cCodec()]
    if layout.codec == "lossless":
        compressors.insert(0, ZstdCodec(level=1))
    elif layout.codec != "jpeg":
        size = np.dtype(layout.dtype).itemsize
        compressors.insert(0, BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=size))
    array = zarr.create_array(
        MemoryStore(),
        shape=(0, *layout.shape),
        dtype=layout.dtype,
        chunks=(layout.chunk, *layout.shape),
        shards=(layout.shard, *layout.shape),
        serializer=Jpeg(layout.quality) if layout.codec == "jpeg" else "auto",
        compressors=compressors,
        fill_value=0,
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    return array.metadata.to_buffer_dict(default_buffer_prototype())["zarr.json"].to_bytes()


def group_metadata(attributes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A group's `zarr.json`."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}


def dump(document: Any) -> bytes:
    """JSON as the store writes it: sorted keys, no NaN."""
    return json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def load(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a file; StoreError naming `what` where it is none."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{what} has no {path.name}.") from None
    except OSError as error:
        raise StoreError(f"{what}: {path.name} can't be read: {error.strerror}.") from None
    except ValueError:
        raise StoreError(f"{what}: {path.name} is not valid JSON.") from None
    if not isinstance(document, dict):
        raise StoreError(f"{what}: {path.name} is not a JSON object.")
    return document


def require_version(document: dict[str, Any], what: str) -> None:
    """StoreError unless `document` says that it has this format version."""
    version = document.get("version")
    if version != VERSION:
        raise StoreError(
            f"{what} has format version {version!r}; this robot_learning reads version {VERSION}. "
            "Use the robot_learning that wrote it, or import it into a new store."
        )


def contract_of(document: dict[str, Any], what: str) -> Contract:
    """The contract inside an episode's attributes or header."""
    try:
        return Contract.model_validate(document["contract"])
    except (KeyError, ValueError) as error:
        raise StoreError(f"{what}: its contract is not valid: {' '.join(str(error).split())[:200]}.") from None
