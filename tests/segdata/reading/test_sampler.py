import itertools
import json
import random
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from segdata.errors import OptionError
from segdata.reading.order import Order, draw_uniform, seed_keys
from segdata.reading.sampler import NO_RECORD, Sampler

HOSTS = [n for n in range(1, 65) if 192 % n == 0]


def epoch_order(order: Order, epoch: int) -> list[int]:
    positions = np.arange(order.num_records, dtype=np.int64)
    return order.record(np.full_like(positions, epoch), positions).tolist()


@pytest.mark.parametrize("run_length", [1, 4, 7])
@pytest.mark.parametrize("num_records", [1, 2, 3, 10, 37, 1000])
def test_every_epoch_has_every_record_once(num_records: int, run_length: int) -> None:
    orders = {
        tuple(epoch_order(order, epoch))
        for seed in (0, 1, -(2**63), 2**32)
        for epoch in (0, 1, 2**29)
        for order in [
            Order(
                num_records=num_records, shuffle=True, seed=seed, run_length=run_length
            )
        ]
    }
    assert all(sorted(order) == [*range(num_records)] for order in orders)
    assert len(orders) == 12 or num_records < 37


def test_a_position_alone_gives_what_all_of_them_give() -> None:
    order = Order(num_records=10**7, shuffle=True, seed=5)
    some = np.array([0, 1, 9_999_999, 1234567], np.int64)
    found = order.record(np.full_like(some, 3), some).tolist()
    assert [order.record(3, position) for position in some.tolist()] == found


def test_records_of_a_run_stay_neighbours() -> None:
    order = Order(num_records=1003, shuffle=True, run_length=8)
    found = np.array(epoch_order(order, 1))[:1000].reshape(-1, 8)
    assert (np.diff(found, axis=1) % 1003 == 1).all()
    assert (np.diff(found[:, 0]) % 1003 != 8).mean() > 0.9


@pytest.mark.parametrize("run_length", [1, 4])
def test_a_shuffle_is_as_good_as_numpys(run_length: int) -> None:
    """Displacement, neighbours and fixed points of 200 epochs of 250 runs."""
    count, epochs = 250, 200
    order = Order(
        num_records=count * run_length, shuffle=True, run_length=run_length, seed=1
    )
    runs = np.array([epoch_order(order, epoch) for epoch in range(epochs)])
    turns = (runs[:, ::run_length] // run_length) % count
    places = np.arange(count)
    drawn = np.random.default_rng(0).permuted(np.tile(places, (epochs, 1)), axis=1)
    for found in (turns, drawn):
        correlations = [np.corrcoef(places, row)[0, 1] for row in found]
        assert abs(np.mean(correlations)) * (count * epochs) ** 0.5 < 3
        assert 0.8 < np.std(correlations) * count**0.5 < 1.2
        follow = (np.diff(found, axis=1) == 1).sum(1)
        assert 0.7 < follow.mean() < 1.3
        assert 0.7 < (found == places).sum(1).mean() < 1.3


@pytest.mark.parametrize(
    ("run_length", "low", "high"), [(1, 0.0005, 0.0015), (4, 0.2, 0.29), (8, 0.5, 0.7)]
)
def test_how_often_pairs_of_a_batch_meet_again(
    run_length: int, low: float, high: float
) -> None:
    """In batches of 8 of 8,000 records: 7 of 7,999 pairs in a true shuffle."""
    order = Order(num_records=8000, shuffle=True, run_length=run_length)
    epochs = [np.array(epoch_order(order, epoch)) for epoch in range(20)]
    batch_of, shares = np.empty(8000, int), []
    for one, other in itertools.pairwise(epochs):
        batch_of[one] = np.arange(8000) // 8
        before = batch_of[other].reshape(-1, 8)
        same = before[:, :, None] == before[:, None]
        shares.append((same.sum() - before.size) / (before.size * 7))
    assert low < np.mean(shares) < high


def test_all_orders_of_few_records_come_equally_often() -> None:
    epochs = np.arange(24_000)
    order = Order(num_records=4, shuffle=True, run_length=1)
    found = np.stack([order.record(epochs, np.full_like(epochs, p)) for p in range(4)])
    counts = Counter(map(tuple, found.T.tolist()))
    assert len(counts) == 24
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 50  # df 23


def test_draws_are_uniform_and_of_the_record_and_epoch() -> None:
    keys = np.array(seed_keys(3, 2, purpose=1))
    records = np.arange(20_000)[:, None]
    draws = draw_uniform(keys, 0, records) / 2**32
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03
    other = draw_uniform(keys, 1, records) / 2**32
    assert abs(np.corrcoef(draws[:, 0], other[:, 0])[0, 1]) < 0.03
    assert draw_uniform(keys, 0, 7).tolist() == (draws[7] * 2**32).tolist()


def positions(sampler: Sampler, num_batches: int) -> NDArray[np.int64]:
    """Positions of a host's samples, over all epochs: `[batches, of this host]`."""
    size = sampler.host_batch_size
    index = np.arange(num_batches * size, dtype=np.int64)
    return sampler.position(index).reshape(num_batches, size)


def test_any_schedule_of_hosts_gives_the_order_of_one() -> None:
    """1,000 schedules: hosts change at any batch, also in the middle of an epoch."""
    draw = random.Random(7)
    for _ in range(1000):
        num_records = draw.randint(200, 3000)
        first = job = Sampler(num_records=num_records, batch_size=192, num_epochs=None)
        read, batch = [], 0
        while batch < 24:
            num_hosts, count = draw.choice(HOSTS), draw.randint(1, 6)
            hosts = [job.for_host(host, num_hosts) for host in range(num_hosts)]
            read.append(np.concatenate([positions(host, count) for host in hosts], 1))
            job = job.resume(json.loads(json.dumps(job.state(count))))
            batch += count
        together = np.concatenate(read)
        np.testing.assert_array_equal(together, positions(first, batch))
        assert together.ravel().tolist() == [*range(192 * batch)]


@pytest.mark.parametrize("num_hosts", [1, 2, 8])
def test_hosts_together_read_the_epochs_of_the_order(num_hosts: int) -> None:
    """12 batches of 16 are two epochs of 96; each run of 2 is read by one host."""
    job = Sampler(
        num_records=96, batch_size=16, shuffle=True, run_length=2, num_epochs=2
    )
    hosts = [job.for_host(host, num_hosts) for host in range(num_hosts)]
    parts = [np.reshape(host[:], (12, -1)) for host in hosts]
    together = np.concatenate(parts, 1).ravel().tolist()
    assert together == [r for epoch in (0, 1) for r in epoch_order(job.order, epoch)]
    for part in parts:
        assert (np.diff(part.reshape(-1, 2)) % 96 == 1).all()


def test_epochs_follow_each_other_inside_of_a_batch() -> None:
    job = Sampler(num_records=10, batch_size=4, shuffle=True, num_epochs=None)
    found = [job.place(index) for index in range(40)]
    for epoch in range(4):
        assert sorted(r for e, r in found if e == epoch) == [*range(10)]
    assert [epoch for epoch, _ in found] == sorted(epoch for epoch, _ in found)
    assert job[5:9] == [record for _, record in found[5:9]]


@pytest.mark.parametrize(
    ("remainder", "lengths", "batches"),
    [("pad", [6, 6, 6], 3), ("drop", [4, 4, 4], 2), ("keep", [6, 4, 4], 3)],
)
def test_hosts_share_the_last_batch(
    remainder: str, lengths: list[int], batches: int
) -> None:
    """14 records in batches of 6 on 3 hosts: two are left for the first host."""
    job = Sampler(num_records=14, batch_size=6, remainder=remainder)  # type: ignore
    hosts = [job.for_host(host, 3) for host in range(3)]
    assert [len(host) for host in hosts] == lengths
    assert {host.num_batches for host in hosts} == {batches}
    found = [record for host in hosts for record in host]
    real = [record for record in found if record != NO_RECORD]
    assert sorted(real) == [*range(14 if remainder != "drop" else 12)]
    assert sum(host.num_real for host in hosts) == len(real)
    assert next(hosts[0].batches()) == [0, 1]
    assert [len(batch) for batch in hosts[1].batches()] == [2] * (lengths[1] // 2)


def test_a_start_leaves_out_what_lies_before() -> None:
    job = Sampler(num_records=10, batch_size=4, shuffle=True, num_epochs=2)
    whole = list(job)
    for start in range(0, 24, 4):
        later = Sampler(
            num_records=10, batch_size=4, shuffle=True, num_epochs=2, start_sample=start
        )
        assert list(later) == whole[start:]
    with pytest.raises(IndexError, match="sample 20 of 20"):
        job[20]
    assert job[-1] == whole[-1]


def test_other_batches_keep_the_order() -> None:
    """A job that goes on with twice the batch loses nothing either."""
    small = Sampler(num_records=50, batch_size=4, shuffle=True, num_epochs=None)
    large = Sampler(
        num_records=50, batch_size=8, shuffle=True, num_epochs=None, start_sample=12
    )
    assert list(itertools.islice(large, 80)) == list(itertools.islice(small, 12, 92))


def test_an_empty_split_has_no_samples() -> None:
    for num_epochs in (1, None):
        job = Sampler(num_records=0, batch_size=4, num_epochs=num_epochs)
        assert list(job) == list(job.batches()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_shards": 3}, "3 hosts cannot share batches of 8: expected a number"),
        ({"num_shards": 2, "shard_index": 2}, "shard_index is 2 of num_shards 2"),
        ({"batch_size": 0}, "batch_size is 0: expected at least 1"),
        ({"run_length": 0}, "run_length is 0: expected at least 1"),
        ({"num_epochs": 0}, "num_epochs is 0: expected at least 1"),
        ({"num_records": 2**31}, "num_records is 2147483648: expected 0 to"),
        ({"start_sample": -1}, "start_sample is -1: expected at least 0"),
        ({"remainder": "cut"}, "remainder is 'cut': expected 'pad', 'drop' or 'keep'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Sampler(**{"num_records": 10, "batch_size": 8, **options})  # type: ignore


def test_the_state_of_another_order_is_refused() -> None:
    job = Sampler(num_records=10, batch_size=4, shuffle=True, seed=1)
    state = Sampler(num_records=10, batch_size=4, shuffle=True, seed=2).state(1)
    with pytest.raises(OptionError, match="taken with seed 2: expected 1"):
        job.resume(state)
