from __future__ import annotations

import base64
import json
import os
import re
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from robot_learning import page
from robot_learning.errors import UserError
from robot_learning.output import prepare_folder, write_json, write_text


def frames(n: int = 6, height: int = 33, width: int = 47) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(n)]


def test_a_page_refers_to_nothing_outside_itself():
    with page.plot_style():
        figure = Figure(figsize=(4, 2))
        figure.subplots().plot([0, 1], [1, 0])
        plot = page.plot(figure, "a line")
    text = page.render("Title", "today", [page.section("All", plot, page.video(frames(), 10, "film"))])
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", text) == []
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert "currentColor" in text  # plots follow light and dark


def test_text_is_escaped_and_blocks_are_not():
    block = page.table(["<b>"], [["<script>alert(1)</script>", page.badge("yes & no", True)]])
    text = page.render("a < b", "c", [page.section("<i>", block), page.paragraph("<p>")])
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<title>a &lt; b</title>" in text
    assert '<span class="badge good">yes &amp; no</span>' in text


def test_a_video_of_odd_size_can_be_read_back():
    import imageio.v3 as iio

    kind, data = page.encode_video(frames(), 10)
    assert kind == "video/mp4"
    film = iio.imread(data, extension=".mp4")
    assert film.shape == (6, 32, 46, 3)


def test_without_ffmpeg_a_video_is_an_animated_picture(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    text = page.video(frames(), 10, "film")
    data = base64.b64decode(re.search(r"data:image/webp;base64,([^\"]+)", text)[1])
    assert data[:4] == b"RIFF"
    assert b"ANIM" in data


def test_a_contact_sheet_keeps_every_picture():
    sheet = page.contact_sheet([np.full((4, 5, 3), i, np.uint8) for i in range(7)], columns=3, gap=1)
    assert sheet.shape == (3 * 5 - 1, 3 * 6 - 1, 3)
    assert sheet[0, 0, 0] == 0
    assert sheet[5, 6, 0] == 4
    assert sheet[10, 0, 0] == 6


def test_a_file_in_place_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match=r"can't write .*taken.*--output"):
        prepare_folder(tmp_path / "taken")
    with pytest.raises(UserError, match=r"can't write .*report\.html"):
        write_text(tmp_path / "taken" / "report.html", "x")


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "report.html", "old")
    part = tmp_path / f".report.html.part-{os.getpid()}"
    part.symlink_to("/dev/full")  # what is written there fails as on a full disk
    with pytest.raises(UserError, match="No space left on device"):
        write_text(path, "new" * 10_000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_is_not_a_number_is_refused(tmp_path):
    assert json.loads(write_json(tmp_path / "a.json", {"x": 1.5}).read_text()) == {"x": 1.5}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
