"""`robot-learning data`: exit codes and sentences, as a user meets them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from robot_learning.cli import main as cli
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import recordings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return recordings.new_store(tmp_path)


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["robot-learning", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


def test_info_lists_episodes_and_survives_a_broken_one(store: Store, capsys, monkeypatch) -> None:
    sound, broken = recordings.record(store), recordings.record(store)
    (broken.path / "zarr.json").write_text("{")
    code, text = run(capsys, monkeypatch, "info", store.path)
    assert code == 0
    assert sound.id in text
    assert "1 unreadable" in text
    code, text = run(capsys, monkeypatch, "info", store.path, "--episode", sound.id)
    assert code == 0
    assert sound.digest in text
    assert "joint_position" in text


def test_check_exits_with_1_where_something_is_wrong(store: Store, capsys, monkeypatch) -> None:
    episode = recordings.record(store)
    assert run(capsys, monkeypatch, "check", store.path) == (0, "1 episode checked, 0 problems found\n")
    recordings.flip_byte(episode.path / "front" / "data" / "c.0.0.0.0", 10)
    code, text = run(capsys, monkeypatch, "check", store.path)
    assert code == 1
    assert f"episode {episode.id}, stream 'front', sample 0: data is damaged" in text


def test_recover_seals_what_was_left(store: Store, capsys, monkeypatch) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    writer.flush()
    writer.abandon()
    code, text = run(capsys, monkeypatch, "recover", store.path)
    assert (code, "1 episodes recovered" in text) == (0, True)
    assert store.episodes()[0].id == writer.id
    assert run(capsys, monkeypatch, "recover", store.path) == (0, "0 episodes recovered\n")


def test_edit_trims_in_seconds_and_deletes(store: Store, capsys, monkeypatch) -> None:
    episode = recordings.record(store)
    code, _ = run(capsys, monkeypatch, "edit", store.path, episode.id, "--trim-s", "0.5", "1", "--outcome", "failure")
    assert code == 0
    edited = store.episode(episode.id)
    assert (edited.start_ns, edited.end_ns) == (500_000_000, 1_000_000_000)
    assert edited.metadata["outcome"] == "failure"
    run(capsys, monkeypatch, "edit", store.path, episode.id, "--delete", "--untrim", "--outcome", "unjudged")
    assert store.episodes() == []
    assert store.episode(episode.id).metadata["outcome"] is None
    run(capsys, monkeypatch, "edit", store.path, episode.id, "--undelete")
    assert [e.id for e in store.episodes()] == [episode.id]


def test_snapshot_prints_the_hash_that_checkpoints_carry(store: Store, capsys, monkeypatch) -> None:
    from robot_learning.data.snapshot import snapshot

    episode = recordings.record(store)
    code, text = run(capsys, monkeypatch, "snapshot", store.path)
    assert code == 0
    assert text == f"{episode.id} {episode.digest}\nsnapshot {snapshot(store).hash}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "{store}/nowhere"], "is not a store"),
        (["info", "{store}", "--episode", "01ABC"], "unknown episode '01ABC'"),
        (["edit", "{store}", "{episode}"], "nothing to edit"),
        (["edit", "{store}", "{episode}", "--delete", "--undelete"], "contradict each other"),
        (["edit", "{store}", "{episode}", "--trim-s", "0", "99"], "0.000 to 99.000 s, is not inside"),
        (["import", "{store}/nothing.zarr", "{store}"], "there is nothing at"),
        (["chekc", "{store}"], "check"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(store: Store, capsys, monkeypatch, arguments, sentence) -> None:
    episode = recordings.record(store)
    filled = [a.format(store=store.path, episode=episode.id) for a in arguments]
    code, text = run(capsys, monkeypatch, *filled)
    assert code == 2
    assert sentence in text
    assert "Traceback" not in text


def test_help_names_every_command(capsys, monkeypatch) -> None:
    code, text = run(capsys, monkeypatch, "--help")
    assert code == 0
    for command in ("info", "check", "recover", "import", "export", "edit", "snapshot", "view"):
        assert command in text
