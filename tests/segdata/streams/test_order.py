import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from segdata.errors import CorruptionError
from segdata.reading.options import StreamOptions
from segdata.shards.manifest import open_build, read_manifest
from segdata.shards.offsets import offsets_path
from segdata.shards.receipt import dali_index_path
from segdata.shards.tfrecord import RecordWriter
from segdata.streams import order as stream
from segdata.streams.index import RecordIndex, read_index
from segdata.streams.order import count_batches, host_count, serialized_records
from segdata.streams.tensorflow import tf


def write_split(folder: Path, sizes: list[int]) -> RecordIndex:
    """Files of records that hold their own number."""
    files, offsets, number = [], [], 0
    for name, size in enumerate(sizes):
        path = folder / f"{name}"
        with open(path, "wb") as file:
            writer = RecordWriter(file)
            for _ in range(size):
                writer.write(str(number).encode())
                number += 1
        files.append(str(path))
        offsets += writer.offsets
    return RecordIndex(
        files=tuple(files),
        offsets=np.array(offsets, np.int64),
        starts=np.cumsum([0, *sizes], dtype=np.int64),
        num_bytes=20 * number,
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecordIndex:
    return write_split(tmp_path_factory.mktemp("split"), [11, 3, 1, 22])


def records(
    index: RecordIndex, count: int | None = None, **options: object
) -> list[tuple[int, int]]:
    """`(record, epoch)` in order; checks that each draw names its own record."""
    chosen = StreamOptions(**{"batch_size": 3, "shuffle_buffer": 8, **options})
    dataset = serialized_records(index, chosen)
    found = []
    part = dataset if count is None else dataset.take(count)
    for data, draw in part.as_numpy_iterator():
        epoch, number = divmod(int(draw), stream.EPOCH)
        assert int(data) == number
        found.append((number, epoch))
    return found


def numbers(index: RecordIndex, count: int | None = None, **options: object):
    return [number for number, _ in records(index, count, **options)]


def test_unshuffled_records_come_in_the_order_of_the_files(index: RecordIndex) -> None:
    assert numbers(index) == list(range(37))


@pytest.mark.parametrize(("num_shards", "shuffle"), [(3, True), (7, False)])
def test_hosts_get_every_record_exactly_once(
    index: RecordIndex, num_shards: int, shuffle: bool
) -> None:
    parts = [
        numbers(index, shuffle=shuffle, num_shards=num_shards, shard_index=host)
        for host in range(num_shards)
    ]
    assert Counter(n for part in parts for n in part) == Counter(range(37))
    assert {len(part) for part in parts} <= {37 // num_shards, -(-37 // num_shards)}


def test_repeated_hosts_share_out_every_epoch_and_stay_in_step(
    index: RecordIndex,
) -> None:
    num_shards = 3
    length = 4 * 37 // num_shards
    parts = [
        records(
            index,
            length,
            shuffle=True,
            repeat=True,
            num_shards=num_shards,
            shard_index=host,
        )
        for host in range(num_shards)
    ]
    for epoch in range(3):
        seen = Counter(n for part in parts for n, e in part if e == epoch)
        assert seen == Counter(range(37))
    for host, part in enumerate(parts):
        for epoch in range(3):
            before = host_count((epoch + 1) * 37, num_shards, host)
            assert sum(e <= epoch for _, e in part) == before


def test_shuffled_order_depends_on_seed_and_epoch_alone(index: RecordIndex) -> None:
    options = {"shuffle": True, "repeat": True}
    first = records(index, 111, **options)
    tf.random.set_seed(99)
    assert records(index, 111, **options) == first
    other = records(index, 111, seed=1, **options)
    orders = [
        tuple(n for n, e in stream if e == epoch)
        for stream in (first, other)
        for epoch in range(3)
    ]
    assert len(set(orders)) == 6
    assert all(sorted(order) == list(range(37)) for order in orders)


def test_shuffled_windows_mix_records_from_all_over(tmp_path: Path) -> None:
    index = write_split(tmp_path, [1000])
    order = numbers(index, 64, shuffle=True, shuffle_buffer=64)
    assert len({number // 100 for number in order}) >= 7
    assert np.corrcoef(np.arange(64), order)[0, 1] ** 2 < 0.2


@pytest.mark.parametrize(
    ("shuffle", "num_shards", "shard_index", "steps"),
    [
        (True, 1, 0, (1, 12, 25)),  # an epoch ends inside of step 12
        (False, 1, 0, (12,)),
        (True, 3, 1, (4,)),
        (True, 50, 45, (12,)),
    ],
)
def test_streams_resume_at_any_step(
    index: RecordIndex,
    shuffle: bool,
    num_shards: int,
    shard_index: int,
    steps: tuple[int, ...],
) -> None:
    options = {
        "shuffle": shuffle,
        "repeat": True,
        "num_shards": num_shards,
        "shard_index": shard_index,
    }
    whole = records(index, 90, **options)
    for step in steps:
        assert (
            records(index, 90 - 3 * step, start_step=step, **options)
            == (whole[3 * step :])
        )


@pytest.mark.parametrize("shuffle", [False, True])
def test_single_passes_resume_too(index: RecordIndex, shuffle: bool) -> None:
    whole = numbers(index, shuffle=shuffle)
    for step in (12, 40):
        assert numbers(index, shuffle=shuffle, start_step=step) == whole[3 * step :]


def test_each_pass_over_a_shuffled_stream_is_another(index: RecordIndex) -> None:
    options = StreamOptions(batch_size=1, shuffle=True, shuffle_buffer=8)

    def passes() -> list[list[int]]:
        dataset = serialized_records(index, options)
        return [[int(data) for data, _ in dataset.as_numpy_iterator()] for _ in "123"]

    first = passes()
    assert passes() == first
    assert len({tuple(order) for order in first}) == 3


@pytest.mark.parametrize("num_shards", [1, 2, 7, 50])
def test_hosts_share_any_number_of_records_evenly(num_shards: int) -> None:
    for position in range(120):
        counts = [host_count(position, num_shards, host) for host in range(num_shards)]
        assert sum(counts) == position
        assert max(counts) - min(counts) <= 1


def test_an_empty_split_gives_nothing(tmp_path: Path) -> None:
    index = write_split(tmp_path, [])
    assert numbers(index) == numbers(index, shuffle=True) == []
    assert numbers(index, repeat=True) == []


def test_blocks_cut_files_into_equal_parts(index: RecordIndex) -> None:
    blocks = index.blocks(64)  # 4 records of a block at most
    assert {0, 11, 14, 15, 37} <= set(blocks.tolist())
    sizes = np.diff(blocks)
    assert sizes.min() >= 1
    assert sizes.max() == 4
    assert index.blocks(1).tolist() == list(range(38))


def test_large_records_make_small_blocks(index: RecordIndex) -> None:
    import dataclasses

    heavy = dataclasses.replace(index, num_bytes=37 * (3 << 20))
    assert np.diff(heavy.blocks(10_000)).max() == 2  # 8 MiB


@pytest.mark.parametrize(
    ("remainder", "expected"), [("pad", [2, 2, 2]), ("drop", [1, 1, 1])]
)
def test_hosts_have_equally_many_batches(remainder: str, expected: list[int]) -> None:
    """10 records on 3 hosts, by 3: 4, 3 and 3 records."""
    counts = [
        count_batches(
            10,
            StreamOptions(
                batch_size=3, num_shards=3, shard_index=host, remainder=remainder
            ),
        )
        for host in range(3)
    ]
    assert [count.count for count in counts] == expected
    if remainder == "pad":
        assert [count.num_filled for count in counts] == [2, 3, 3]


def test_batches_after_the_start_are_counted() -> None:
    def count(step: int) -> tuple[int, int]:
        counted = count_batches(10, StreamOptions(batch_size=4, start_step=step))
        return counted.count, counted.num_filled

    assert [count(step) for step in range(5)] == [
        (3, 2),
        (2, 2),
        (1, 2),
        (0, 0),
        (0, 0),
    ]


def test_more_hosts_than_records_fill_their_batches() -> None:
    for host, filled in ((0, 1), (6, 2)):
        options = StreamOptions(batch_size=2, num_shards=7, shard_index=host)
        assert count_batches(1, options).num_filled == filled


def test_index_is_read_from_the_build(tiny_build: Path) -> None:
    build = open_build(tiny_build)
    summary = build.manifest.splits["train"]
    index = read_index(build, "train")
    assert index.num_records == summary.num_records
    assert len(index.offsets) == summary.num_records
    names = [shard.name for shard in summary.shards if shard.num_records]
    assert [Path(file).name for file in index.files] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("0 x\n", "is damaged"),
        ("0 1 2\n", "is damaged"),
        ("0 100\n" * 99, "tells of 99 records: expected"),
    ],
)
def test_a_damaged_index_is_refused(
    tiny_build: Path, tmp_path: Path, text: str | None, message: str
) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    summary = read_manifest(out).splits["train"]
    name = next(shard.name for shard in summary.shards if shard.num_records)
    path = dali_index_path(out, name)
    path.unlink()
    if text is not None:
        path.write_text(text)
    offsets_path(out).unlink()  # as in builds of earlier versions
    with pytest.raises(CorruptionError, match=message):
        read_index(open_build(out), "train")


def test_a_shard_of_another_size_is_refused(tiny_build: Path, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    summary = read_manifest(out).splits["train"]
    path = next(out / shard.name for shard in summary.shards if shard.num_records)
    data = path.read_bytes()
    for changed in (data + data, data[:-1]):
        path.write_bytes(changed)
        message = f"expected {len(data)} bytes, got {len(changed)} bytes"
        with pytest.raises(CorruptionError, match=message):
            read_index(open_build(out), "train")
    path.unlink()
    with pytest.raises(CorruptionError, match="got no such file"):
        read_index(open_build(out), "train")
