"""Bags: what comes out of a bag is what the recorder would have stored, and what went in comes out again."""

import json

import numpy as np
import pytest
import yaml

pytest.importorskip("rosbags", reason="rosbags is not installed: pip install robot_learning[convert]")

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from robot_learning.cli import data as cli
from robot_learning.data.bagexport import export_bags
from robot_learning.data.bags import import_bags, is_bag
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.data.windows import grid, observe
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError, UserError
from robot_learning.rig import load_rig, parse_rig, rig_folder
from robot_learning.topics import topics

MS = 1_000_000
START = 1_700_000_000_000 * MS
TYPES = get_typestore(Stores.ROS2_HUMBLE)


def rig_file(folder, **changes):
    """A rig with two small cameras, one of them with depth, and no simulation."""
    content = yaml.safe_load((rig_folder() / "panda_sim.yaml").read_text())
    del content["simulation"]
    content["name"] = "small"
    camera = {"type": "pattern", "width_px": 12, "height_px": 8, "rate_hz": 30}
    content["cameras"] = {"front": camera | {"codec": "lossless", "depth": True}, "wrist": camera | {"codec": "jpeg"}}
    del content["policy"]["alignment"]["wrist_depth"]
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.fixture
def rig(tmp_path):
    return load_rig(rig_file(tmp_path))


def value(spec, i):
    rng = np.random.default_rng(i)
    if spec.unit == "rgb":
        y, x = np.mgrid[: spec.shape[0], : spec.shape[1]]
        return np.stack([x * 9 + i % 5, y * 11, x + y], -1).astype(np.uint8)
    if spec.unit == "depth_mm":
        return rng.integers(0, 2000, spec.shape, dtype=np.uint16)
    out = rng.normal(size=spec.shape)
    if spec.unit == "quaternion_wxyz":
        out /= np.linalg.norm(out)
        return -out if out[0] < 0 else out
    return out


def recorded(rig, store, seconds=2.0, lost=()):
    """An episode as the recorder writes it; `lost` names (stream, index) that are missing."""
    samples = []
    for spec in rig.contract().streams:
        if spec.name == "commander":
            continue
        for i in range(int(seconds * spec.rate_hz)):
            stamp = START + int(i * 1e9 / spec.rate_hz)
            if (spec.name, i) not in lost:
                samples.append(Sample(spec.name, stamp, stamp + 3 * MS, i, value(spec, i)))
    metadata = {"task": "lift", "operator": "ada", "provenance": {}, "absent_streams": ["commander"], "marks": [START]}
    writer = EpisodeWriter(store, rig.contract(), metadata)
    writer.append(sorted(samples, key=lambda s: s.received_ns))
    return writer.seal("success", "operator")


def stores(tmp_path):
    return Store.create(tmp_path / "a"), Store.create(tmp_path / "b")


def test_an_exported_episode_comes_back_as_it_was_but_for_what_jpeg_loses(rig, tmp_path):
    first, second = stores(tmp_path)
    before = recorded(rig, first)
    assert export_bags(first, tmp_path / "bags", topics(rig), progress=False) == 1
    assert is_bag(tmp_path / "bags")
    report = import_bags(tmp_path / "bags", second, rig.contract(), topics(rig), progress=False)
    (after,) = second.episodes()
    assert report.written == [after.id]
    assert check(second) == []
    for name, stream in before.streams.items():
        again = after.streams[name]
        for column in ("stamp", "received", "sequence"):
            assert np.array_equal(getattr(again, column), getattr(stream, column)), (name, column)
        a, b = (s.read(np.arange(len(s))) for s in (stream, again))
        if name == "wrist":
            assert np.abs(a.astype(int) - b).mean() < 3  # compressed twice
        else:
            assert np.array_equal(a, b), name
    for key in ("task", "operator", "outcome", "marks", "absent_streams"):
        assert after.metadata[key] == before.metadata[key]
    assert after.metadata["provenance"]["exported_from"] == before.id
    observations = [f.name for f in rig.contract().observations if f.name != "wrist"]
    for now in grid(rig.contract(), before.streams, [*observations, "action"])[3:]:
        a, b = (observe(rig.contract(), e.streams, int(now), 2, observations) for e in (before, after))
        assert all(np.array_equal(a[name], b[name]) for name in observations)


def test_a_sample_that_one_stream_of_a_topic_lacks_is_lacking_again(rig, tmp_path):
    first, second = stores(tmp_path)
    lost = {("ee_position", 5), ("ee_orientation", 7), ("joint_velocity", 9)}
    recorded(rig, first, lost=lost)
    export_bags(first, tmp_path / "bags", topics(rig), progress=False)
    import_bags(tmp_path / "bags", second, rig.contract(), topics(rig), progress=False)
    (after,) = second.episodes()
    for name, i in lost:
        stream = after.streams[name]
        assert len(stream) == 199
        assert START + i * 10 * MS not in stream.stamp
        assert i not in stream.sequence
        assert after.quality["streams"][name]["missing"] == 1


def test_the_bag_holds_the_topics_that_the_rigs_nodes_publish(rig, tmp_path):
    store, _ = stores(tmp_path)
    episode = recorded(rig, store, seconds=1.0)
    export_bags(store, tmp_path / "bags", topics(rig), progress=False)
    with AnyReader([tmp_path / "bags" / episode.id]) as bag:
        found = {c.topic: (c.msgtype, c.msgcount) for c in bag.connections}
        (joints,) = (c for c in bag.connections if c.topic == "/small/joint_states")
        _, received, raw = next(bag.messages([joints]))
        message = bag.deserialize(raw, joints.msgtype)
    assert found == {
        "/small/joint_states": ("sensor_msgs/msg/JointState", 100),
        "/small/robot/ee_pose": ("geometry_msgs/msg/PoseStamped", 100),
        "/small/robot/gripper": ("sensor_msgs/msg/JointState", 100),
        **{f"/small/robot/{n}": ("sensor_msgs/msg/JointState", 20) for n in ("commanded", "gated", "executed")},
        "/small/front/color/image_raw": ("sensor_msgs/msg/Image", 30),
        "/small/front/aligned_depth_to_color/image_raw": ("sensor_msgs/msg/Image", 30),
        "/small/wrist/color/image_raw": ("sensor_msgs/msg/Image", 30),
    }
    assert received == START + 3 * MS
    assert message.name == list(rig.robot.joint_names)
    assert np.array_equal(message.velocity, value(rig.contract().stream("joint_velocity"), 0))


class TheirBag:
    """A bag of another maker's driver: sqlite3, its own namespace, joints in its own order."""

    def __init__(self, path):
        self.path = path
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
        self._writer.open()
        self._connections = {}

    def add(self, topic, kind, received, stamp, **fields):
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=TYPES)
        time = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
        header = TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id="")
        message = TYPES.types[kind](header=header, **fields)
        self._writer.write(self._connections[topic], received, TYPES.serialize_cdr(message, kind))

    def joints(self, topic, i, names, stamp=None):
        numbers, now = np.arange(len(names)) + i, START + i * 10 * MS
        self.add(
            topic, "sensor_msgs/msg/JointState", now + MS, now if stamp is None else stamp,
            name=list(names), position=numbers + 0.0, velocity=numbers + 100.0, effort=numbers + 200.0,
        )  # fmt: skip

    def close(self):
        self._writer.close()


def test_another_makers_sqlite3_bag_is_read_by_name_and_what_is_unusable_is_counted(rig, tmp_path):
    bag = TheirBag(tmp_path / "their")
    names = [*reversed(rig.robot.joint_names), "finger"]
    for i in range(50):
        bag.joints("/franka/joint_states", i, names, stamp=0 if i == 10 else None)
    bag.joints("/franka/joint_states", 50, names[:3])
    bag.close()
    store = Store.create(tmp_path / "store")
    with pytest.raises(UserError, match="does not say what is done in it; give --task"):
        import_bags(bag.path, store, rig.contract(), topics(rig), progress=False)
    report = import_bags(bag.path, store, rig.contract(), topics(rig), task="wave", outcome="failure", progress=False)
    (episode,) = store.episodes()
    assert check(store) == []
    stream = episode.streams["joint_position"]
    assert len(stream) == 49
    assert stream.read([3])[0].tolist() == [9, 8, 7, 6, 5, 4, 3]
    assert stream.received[3] - stream.stamp[3] == MS
    assert 10 not in stream.sequence
    reasons = episode.quality["intake"]["refused"]["joint_position"]
    assert reasons["its header is not stamped"] == 1
    assert len(reasons) == 2
    assert (episode.metadata["task"], episode.metadata["outcome"]) == ("wave", "failure")
    assert "front" in episode.metadata["absent_streams"]
    assert any("no topic for" in note for note in report.notes)
    assert any("not stamped" in note for note in report.notes)
    assert "log time" in episode.metadata["provenance"]["stamps"]

    again = import_bags(bag.path, store, rig.contract(), topics(rig), task="wave", progress=False)
    assert (again.written, again.skipped) == ([], 1)


def test_a_bag_of_two_rigs_wants_to_know_which(rig, tmp_path):
    bag = TheirBag(tmp_path / "their")
    for i in range(5):
        bag.joints("/left/joint_states", i, rig.robot.joint_names)
        bag.joints("/right/joint_states", i + 10, rig.robot.joint_names)
    bag.close()
    store = Store.create(tmp_path / "store")
    with pytest.raises(UserError, match="/left/joint_states, /right/joint_states; say which by --namespace"):
        import_bags(bag.path, store, rig.contract(), topics(rig), task="t", progress=False)
    import_bags(bag.path, store, rig.contract(), topics(rig), task="t", namespace="right", progress=False)
    assert store.episodes()[0].streams["joint_position"].read([0])[0, 0] == 10
    with pytest.raises(UserError, match="none of the rig's topics"):
        import_bags(bag.path, store, rig.contract(), topics(rig), task="t", namespace="middle", progress=False)


def test_a_topic_of_another_type_than_the_rig_says_is_not_read(tmp_path):
    entry = {"topic": "joint_states", "type": "geometry_msgs/PointStamped", "field": "point"}
    content = yaml.safe_load(rig_file(tmp_path).read_text()) | {"topics": {"ee_position": entry}}
    rig = parse_rig(content, "test")
    bag = TheirBag(tmp_path / "their")
    bag.joints("/x/joint_states", 0, rig.robot.joint_names)
    bag.close()
    store = Store.create(tmp_path / "store")
    import_bags(bag.path, store, rig.contract(), topics(rig), task="t", progress=False)
    (why,) = store.episodes()[0].quality["intake"]["refused"]["ee_position"]
    assert why == "its type is sensor_msgs/msg/JointState, the rig says geometry_msgs/PointStamped"


def test_a_broken_bag_is_one_sentence_and_leaves_no_episode(rig, tmp_path):
    first, second = stores(tmp_path)
    episode = recorded(rig, first)
    export_bags(first, tmp_path / "bags", topics(rig), progress=False)
    (mcap,) = (tmp_path / "bags" / episode.id).glob("*.mcap")
    mcap.write_bytes(mcap.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"can't be read: .*'ros2 bag reindex' may mend it"):
        import_bags(tmp_path / "bags", second, rig.contract(), topics(rig), progress=False)
    assert second.episodes() == []
    assert second.open_episodes() == []
    with pytest.raises(UserError, match="there is no bag at"):
        import_bags(tmp_path / "nothing", second, rig.contract(), topics(rig), progress=False)


def test_an_import_that_reads_back_something_else_takes_the_episode_out_of_use(rig, tmp_path, monkeypatch):
    first, second = stores(tmp_path)
    recorded(rig, first, seconds=0.5)
    export_bags(first, tmp_path / "bags", topics(rig), progress=False)
    append = EpisodeWriter.append

    def damaging(writer, samples):
        append(writer, (s._replace(data=s.data + 1) if s.stream == "gripper_width" else s for s in samples))

    monkeypatch.setattr(EpisodeWriter, "append", damaging)
    with pytest.raises(StoreError, match="stream 'gripper_width': what was read back is not what was imported"):
        import_bags(tmp_path / "bags", second, rig.contract(), topics(rig), progress=False)
    assert second.episodes() == []


def test_an_export_refuses_what_it_cannot_name_and_overwrites_nothing(rig, tmp_path):
    store, empty = stores(tmp_path)
    recorded(rig, store, seconds=0.5)
    with pytest.raises(StoreError, match="has no episodes"):
        export_bags(empty, tmp_path / "bags", topics(rig), progress=False)
    without = {name: source for name, source in topics(rig).items() if name != "front"}
    with pytest.raises(UserError, match="names no topic for front; give its own --rig"):
        export_bags(store, tmp_path / "bags", without, progress=False)
    export_bags(store, tmp_path / "bags", topics(rig), progress=False)
    with pytest.raises(UserError, match="exists; give another folder"):
        export_bags(store, tmp_path / "bags", topics(rig), progress=False)
    assert len(list((tmp_path / "bags").iterdir())) == 1


def test_the_command_line_exports_and_imports(rig, tmp_path, capsys):
    store, _ = stores(tmp_path)
    recorded(rig, store, seconds=0.5)
    file = str(tmp_path / "small.yaml")
    assert cli.main(["export", str(store.path), str(tmp_path / "bags"), "--to", "bag", "--rig", file]) == 0
    with pytest.raises(UserError, match="give --rig"):
        cli.main(["import", str(tmp_path / "bags"), str(tmp_path / "b")])
    assert cli.main(["import", str(tmp_path / "bags"), str(tmp_path / "b"), "--rig", file]) == 0
    assert "1 episodes imported" in capsys.readouterr().out
    (episode,) = Store.open(tmp_path / "b").episodes()
    assert json.dumps(episode.metadata["provenance"])
