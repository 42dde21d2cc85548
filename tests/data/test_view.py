import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from streams_in_memory import arm_contract, arm_samples

from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.edits import edit
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.view import BINS, envelope, view
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import UserError

NASTY = "<script>alert('x')</script> & \"more\""


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and SVG."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def store(tmp_path):
    base = arm_contract(image=(24, 32))
    depth = StreamSpec(name="range", shape=(24, 32), dtype="uint16", unit="depth_mm", rate_hz=10, codec="depth")
    contract = Contract(**{**base.model_dump(), "streams": (*base.streams, depth)})
    store = Store.create(tmp_path / "store")
    for seed, outcome in enumerate(("success", None)):
        metadata = {"task": NASTY, "operator": "ann", "provenance": {"seed": seed, "note": NASTY}}
        writer = EpisodeWriter(store, contract, metadata)
        writer.append(arm_samples(base, 1.0, seed))
        frame = np.random.default_rng(seed).integers(0, 4000, (24, 32)).astype(np.uint16)
        writer.append([Sample("range", 5_000_000_000, 5_000_000_000, 0, frame)])
        writer.seal(outcome, "operator")
    return store


def page_of(target, tmp_path):
    html = view(target, tmp_path / "page.html").read_text()
    return html, Page(html)


def test_an_episodes_page_shows_frames_curves_timing_and_metadata(store, tmp_path):
    episode = store.episodes()[0]
    html, page = page_of(episode, tmp_path)
    for text in (episode.id, episode.digest, "success", "ann", "ended by operator", "Timing, as measured"):
        assert text in page.text
    for stream in episode.streams:
        assert stream in page.text
    assert html.count("<svg") == 4  # position, orientation, gripper, action_gated
    assert sum(tag == "img" for tag, _ in page.tags) == 2  # the camera and the depth image


def test_a_page_needs_nothing_but_itself(store, tmp_path):
    for target in (store, store.episodes()[0]):
        html, page = page_of(target, tmp_path)
        for tag, attributes in page.tags:
            assert tag not in ("script", "link", "iframe")
            for key in ("src", "href"):
                assert attributes.get(key, "data:").startswith(("data:", "#"))
        assert not re.search(r"url\(\s*['\"]?(?!#|data:)", html)
        assert "prefers-color-scheme: dark" in html


def test_recorded_text_is_escaped(store, tmp_path):
    for target in (store, store.episodes()[0]):
        html, page = page_of(target, tmp_path)
        assert "<script" not in html
        assert NASTY in page.text


def test_the_plots_are_well_formed_and_take_the_pages_colour(store, tmp_path):
    html, _ = page_of(store.episodes()[0], tmp_path)
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)
        assert "currentColor" in svg


def test_a_stores_page_lists_episodes_in_use_and_counts_the_rest(store, tmp_path):
    first, second = store.episodes()
    edit(store, second.id, deleted=True)
    writer = EpisodeWriter(store, first.contract, {"task": "still open"})
    _, page = page_of(store, tmp_path)
    writer.discard()
    assert first.id in page.text
    assert second.id not in page.text
    assert re.search(r"deleted\s*1", page.text)
    assert "1 more are being recorded" in page.text


def test_an_empty_store_has_a_page(tmp_path):
    _, page = page_of(Store.create(tmp_path / "empty"), tmp_path)
    assert "nothing recorded yet" in page.text


@pytest.mark.parametrize("stream", ["gripper", "camera"])
def test_damage_is_shown_and_the_rest_too(store, tmp_path, stream):
    episode = store.episodes()[0]
    shard = next((episode.path / stream / "data").glob("c.*"))
    content = bytearray(shard.read_bytes())
    content[10] ^= 0xFF
    shard.write_bytes(content)
    html, page = page_of(store.episode(episode.id), tmp_path)
    assert "Problems" in page.text
    assert f"stream '{stream}' can't be read" in page.text
    assert html.count("<svg") == (3 if stream == "gripper" else 4)
    assert view(store, tmp_path / "store.html").exists()


def test_edits_are_shown(store, tmp_path):
    episode = store.episodes()[0]
    edit(store, episode.id, task="renamed", editor="bob", note="typo")
    _, page = page_of(store.episode(episode.id), tmp_path)
    assert "renamed" in page.text
    assert "bob" in page.text
    assert "1 edits" in page.text


def test_a_page_that_cannot_be_written_is_told(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        view(store, tmp_path / "file" / "page.html")


def test_a_long_curve_keeps_its_spikes():
    x = np.arange(100_000, dtype=float)
    y = np.sin(x / 500)
    y[[31_234, 77_777]] = 50, -50
    ex, ey = envelope(x, y)
    assert len(ex) <= 2 * BINS + 200
    assert ey.max() == 50
    assert ey.min() == -50
    assert (np.diff(ex) > 0).all()
    assert np.array_equal(ey, y[ex.astype(int)])


def test_a_curve_with_gaps_is_drawn():
    y = np.full(5000, np.nan)
    ex, ey = envelope(np.arange(5000.0), y)
    assert len(ex) == len(ey)
