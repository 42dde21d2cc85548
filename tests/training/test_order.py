import numpy as np
import torch

from robot_learning.training.order import Batches, DataOrder


class NumberedWindows:
    def batch(self, indices, rng=None):
        values = np.asarray(indices)[:, None].astype(np.float32)
        return {"observation": {"x": values}, "action": values, "mask": values > 0}


def test_every_epoch_sees_each_window_once_in_another_order():
    order = DataOrder(10, seed=0)
    first, second = order.indices(0, 10), order.indices(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_the_order_does_not_depend_on_how_it_is_read():
    whole = DataOrder(7, seed=3).indices(0, 50)
    order = DataOrder(7, seed=3)
    assert np.array_equal(np.concatenate([order.indices(i, 5) for i in range(0, 50, 5)]), whole)
    assert np.array_equal(DataOrder(7, seed=3).indices(23, 9), whole[23:32])
    assert not np.array_equal(DataOrder(7, seed=4).indices(0, 50), whole)


def batches(rank=0, world=1, batch_size=4):
    return Batches(NumberedWindows(), np.arange(100, 120), 0, batch_size, torch.device("cpu"), rank, world)


def test_processes_share_a_global_batch_without_overlap():
    alone = batches(batch_size=8).indices(3)
    parts = [batches(rank, 2).indices(3) for rank in range(2)]
    assert sorted(np.concatenate(parts)) == sorted(alone)


def test_batches_begun_in_the_middle_are_the_same():
    from itertools import islice

    whole = [b["action"] for b in islice(batches().iterate(0), 6)]
    later = [b["action"] for b in islice(batches().iterate(4), 2)]
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], later, strict=True))
