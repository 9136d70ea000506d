import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from segdata.errors import CorruptionError
from segdata.reading.sampler import Sampler
from segdata.shards.manifest import open_build, read_manifest
from segdata.shards.offsets import offsets_path
from segdata.shards.receipt import dali_index_path
from segdata.shards.tfrecord import RecordWriter
from segdata.streams import order as stream
from segdata.streams.index import RecordIndex, read_index
from segdata.streams.order import serialized_records
from segdata.streams.tensorflow import tf


def write_split(folder: Path, sizes: list[int], padding: int = 0) -> RecordIndex:
    """Files of records that hold their own number."""
    files, offsets, number = [], [], 0
    for name, size in enumerate(sizes):
        path = folder / f"{name}"
        with open(path, "wb") as file:
            writer = RecordWriter(file)
            for _ in range(size):
                writer.write(str(number).encode() + b" " * padding)
                number += 1
        files.append(path)
        offsets += writer.offsets
    return RecordIndex(
        files=tuple(map(str, files)),
        offsets=np.array(offsets, np.int64),
        starts=np.cumsum([0, *sizes], dtype=np.int64),
        sizes=tuple(file.stat().st_size for file in files),
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecordIndex:
    return write_split(tmp_path_factory.mktemp("split"), [11, 3, 1, 22])


def a_sampler(**options: object) -> Sampler:
    return Sampler(**{"num_records": 37, "batch_size": 6, **options})  # type: ignore


def read(index: RecordIndex, sampler: Sampler, count: int = 120):
    """`(epoch, record)` in order; checks that each draw names its own record."""
    found = []
    for data, draw in serialized_records(index, sampler).take(count):
        epoch, number = divmod(int(draw), stream.EPOCH)
        assert int(data.numpy()) == number
        found.append((epoch, number))
    return found


def records(index: RecordIndex, sampler: Sampler) -> list[int]:
    return [record for _, record in read(index, sampler)]


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"shuffle": True},
        {"shuffle": True, "run_length": 1, "seed": -5},
        {"shuffle": True, "num_shards": 3, "shard_index": 2, "start_sample": 100},
        {"shuffle": False, "num_shards": 2, "start_sample": 30},
    ],
)
def test_a_stream_without_end_is_its_sampler(
    index: RecordIndex, options: dict[str, object]
) -> None:
    sampler = a_sampler(num_epochs=None, **options)
    tf.random.set_seed(99)
    assert read(index, sampler) == [sampler.place(i) for i in range(120)]


def test_one_pass_ends_and_may_begin_anywhere(index: RecordIndex) -> None:
    assert records(index, a_sampler()) == [*range(37)]
    for start in (6, 30, 36, 42):
        sampler = a_sampler(start_sample=start)
        assert records(index, sampler) == [*range(start, 37)]
    hosts = [a_sampler(num_shards=3, shard_index=host) for host in range(3)]
    parts = [records(index, host) for host in hosts]
    assert parts[0] == [0, 1, 6, 7, 12, 13, 18, 19, 24, 25, 30, 31, 36]
    assert sorted(chain(*parts)) == [*range(37)]
    assert [len(part) for part in parts] == [host.num_real for host in hosts]


def test_each_pass_over_a_shuffled_stream_is_another(index: RecordIndex) -> None:
    def passes() -> list[list[int]]:
        dataset = serialized_records(index, a_sampler(shuffle=True))
        return [[int(data) for data, _ in dataset.as_numpy_iterator()] for _ in "123"]

    first = passes()
    assert passes() == first
    assert len({tuple(order) for order in first}) == 3
    assert first[0] == a_sampler(shuffle=True)[:37]
    assert all(sorted(order) == [*range(37)] for order in first)


def test_places_are_found_in_chunks(
    index: RecordIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_SAMPLES", 7)
    for options in ({}, {"shuffle": True, "num_epochs": None}):
        sampler = a_sampler(**options)
        found = [record for _, record in read(index, sampler, 80)]
        assert found == [r for r in sampler[:80] if r >= 0]


def test_neighbours_are_read_at_once(index: RecordIndex) -> None:
    def pieces(sampler: Sampler) -> list[int]:
        found = stream._Pieces(index, sampler)
        chunk = found.of_chunk(tf.constant(0, tf.int64), tf.constant(0, tf.int64))
        assert int(tf.reduce_sum(chunk["size"])) == sum(index.sizes)
        return chunk["count"].numpy().tolist()

    assert pieces(a_sampler()) == [11, 3, 1, 22]
    runs = pieces(a_sampler(shuffle=True, run_length=5))
    assert len(runs) < 7 + 1 + 4  # runs, the rest, and the ends of four files
    assert len(pieces(a_sampler(shuffle=True, run_length=1))) > 30


@pytest.mark.parametrize("num_hosts", [1, 4])
def test_hosts_read_no_more_than_there_is(tmp_path: Path, num_hosts: int) -> None:
    """Counted by the system: what all of them read of 5 MB in runs of 2."""
    large = write_split(tmp_path, [40, 10], padding=100_000)
    job = Sampler(num_records=50, batch_size=8, shuffle=True, run_length=2)
    hosts = [job.for_host(host, num_hosts) for host in range(num_hosts)]

    def bytes_read() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(lines[0].removeprefix("rchar: "))

    before = bytes_read()
    assert sorted(chain(*(records(large, host) for host in hosts))) == [*range(50)]
    assert bytes_read() - before < 1.1 * sum(large.sizes)


def test_an_empty_split_gives_nothing(tmp_path: Path) -> None:
    index = write_split(tmp_path, [])
    for num_epochs in (1, None):
        for shuffle in (False, True):
            sampler = a_sampler(num_records=0, shuffle=shuffle, num_epochs=num_epochs)
            assert read(index, sampler) == []


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
