"""Runs in LeRobot's environment: `read SET OUT.npz` dumps what LeRobot sees, `write SET OUT.npz` makes one."""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FPS = 10
SHAPE = (64, 96)


def dump(root, out):
    dataset = LeRobotDataset("toy/set", root=root, video_backend="pyav")
    rows = [dataset[i] for i in range(len(dataset))]
    told = {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0] if key != "task"}
    stats = {
        f"stats/{key}/{name}": value
        for key, entry in dataset.meta.stats.items()
        for name, value in entry.items()
        if key in told
    }
    np.savez(out, task=np.array([row["task"] for row in rows]), episodes=dataset.num_episodes, **told, **stats)


def frames(n, rng):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / np.array(SHAPE)[:, None, None]
    phase = rng.uniform(0, 6, 3) + np.arange(n)[:, None] * 0.2
    waves = np.sin(2 * x[None, ..., None] + y[None, ..., None] + phase[:, None, None, :])
    return (127.5 + 100 * waves).astype(np.uint8)


def write(root, out):
    names = ["height", "width", "channels"]
    features = {
        "observation.state": {"dtype": "float32", "shape": (4,), "names": None},
        "observation.images.top": {"dtype": "video", "shape": (*SHAPE, 3), "names": names},
        "observation.images.wrist": {"dtype": "image", "shape": (*SHAPE, 3), "names": names},
        "action": {"dtype": "float32", "shape": (2,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    }
    dataset = LeRobotDataset.create("toy/set", FPS, features, root=root, robot_type="so101", vcodec="h264")
    rng = np.random.default_rng(0)
    for k, n in enumerate((5, 9, 7)):
        top, wrist = frames(n, rng), frames(n, rng)
        for i in range(n):
            dataset.add_frame(
                {
                    "observation.state": rng.normal(size=4).astype(np.float32),
                    "observation.images.top": top[i],
                    "observation.images.wrist": wrist[i],
                    "action": rng.normal(size=2).astype(np.float32),
                    "next.reward": np.array([i], np.float32),
                    "task": f"task {k % 2}",
                }
            )
        dataset.save_episode()
    dataset.finalize()
    dump(root, out)


if __name__ == "__main__":
    {"read": dump, "write": write}[sys.argv[1]](sys.argv[2], sys.argv[3])
