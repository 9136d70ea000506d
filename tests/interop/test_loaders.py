"""PyTorch's and Grain's own loaders over our sources, beside the streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import segdata
from segdata.formats.camvid.format import CamVid
from segdata.formats.coco.format import Coco
from segdata.reading.options import Augmentation, InstanceOptions
from segdata.reading.record_source import RecordSource

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Not ours: what the packages raise when imported, and when they fork.
    pytest.mark.filterwarnings("ignore"),
]

CROPS = (28, 28)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Any:
    from segdata.building.build import build

    out = tmp_path_factory.mktemp("build") / "out"
    build(Coco(), shared_data / "coco", out)
    return RecordSource(out, "train")


def to_example(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a model might be given: fixed shapes, ten objects."""
    masks = np.zeros((10, *CROPS), np.uint8)
    masks[: len(arrays["masks"])] = arrays["masks"][:10]
    image = np.resize(arrays["image"], (64, 64, 3))
    return {"image": image, "masks": masks, "image_id": arrays["image_id"]}


@pytest.fixture(scope="module")
def expected(records: RecordSource) -> dict[int, int]:
    """Image id -> pixels of its mask crops."""
    source = records.arrays(masks="crops", crop_size=CROPS, transform=to_example)
    return {int(e["image_id"]): int(e["masks"].sum()) for e in source}


@pytest.mark.parametrize(
    ("num_workers", "method"), [(0, None), (2, "fork"), (2, "spawn"), (2, "forkserver")]
)
def test_torch_data_loader(
    records: RecordSource,
    expected: dict[int, int],
    num_workers: int,
    method: str | None,
) -> None:
    torch = pytest.importorskip("torch", reason="extra `interop`")
    source = records.arrays(masks="crops", crop_size=CROPS, transform=to_example)
    loader = torch.utils.data.DataLoader(
        source,
        batch_size=16,
        shuffle=True,
        num_workers=num_workers,
        multiprocessing_context=method,
    )
    found = {}
    for batch in loader:
        assert batch["image"].shape[1:] == (64, 64, 3)
        assert batch["image"].dtype == torch.uint8
        for image_id, masks in zip(batch["image_id"], batch["masks"], strict=True):
            found[int(image_id)] = int(masks.sum())
    assert found == expected


def test_torch_data_loader_without_transform_gives_each_image_its_size(
    records: RecordSource,
) -> None:
    torch = pytest.importorskip("torch", reason="extra `interop`")
    loader = torch.utils.data.DataLoader(
        records.arrays(), batch_size=4, num_workers=2, collate_fn=list
    )
    examples = [arrays for batch in loader for arrays in batch]
    assert len(examples) == len(records) == 165
    for arrays, record in zip(examples, records, strict=True):
        masks = torch.from_numpy(arrays["masks"])
        assert masks.shape == (len(record.objects), record.height, record.width)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_grain_map_dataset(
    records: RecordSource, expected: dict[int, int], num_workers: int
) -> None:
    grain = pytest.importorskip("grain", reason="extra `interop`")
    source = records.arrays(masks="crops", crop_size=CROPS, transform=to_example)
    dataset = grain.MapDataset.source(source).shuffle(seed=1).batch(16)
    assert len(dataset) == 11
    stream = dataset.to_iter_dataset()
    if num_workers:
        flags = pytest.importorskip("absl.flags", reason="extra `interop`")
        flags.FLAGS.mark_as_parsed()  # Grain's workers read flags, as absl.app parses
        options = grain.MultiprocessingOptions(num_workers=num_workers)
        stream = stream.mp_prefetch(options)
    found = {}
    for batch in stream:
        assert batch["image"].shape[1:] == (64, 64, 3)
        for image_id, masks in zip(batch["image_id"], batch["masks"], strict=True):
            found[int(image_id)] = int(masks.sum())
    assert found == expected


def test_grain_resumes_where_it_stopped(records: RecordSource) -> None:
    grain = pytest.importorskip("grain", reason="extra `interop`")
    source = records.arrays(masks="none", transform=lambda arrays: arrays["image_id"])
    dataset = grain.MapDataset.source(source).shuffle(seed=1).to_iter_dataset()
    stream = iter(dataset)
    for _ in range(20):
        next(stream)
    state = stream.get_state()
    rest = list(stream)
    again = iter(dataset)
    again.set_state(state)
    assert list(again) == rest
    assert len(rest) == len(records) - 20


ORDER = {"image_size": 64, "shuffle": True, "repeat": True, "seed": 3}


def num_pixels(batch: dict[str, Any]) -> list[tuple[int, int]]:
    """Image id and pixels of its masks, of each sample of a batch."""
    masks = np.asarray(batch["masks"]).sum((1, 2, 3))
    ids = np.asarray(batch["image_id"])
    return [(int(i), int(count)) for i, count in zip(ids, masks, strict=True)]


def of_host(
    records: RecordSource, num_hosts: int, host: int, start: int = 0, read: Any = None
) -> Any:
    """A host's part of batches of 8: a source, or what `read` makes of the options."""
    options = {
        "batch_size": 8 // num_hosts,
        "num_shards": num_hosts,
        "shard_index": host,
        "start_step": start,
        "augmentation": Augmentation(scale=(0.5, 2.0), horizontal_flip=0.5),
        "instances": InstanceOptions(masks="dense", max_objects=9),
        **ORDER,
    }
    read = read or segdata.instances_source
    return read(records._build.directory, "train", **options)


@pytest.fixture(scope="module")
def streamed(records: RecordSource) -> list[list[tuple[int, int]]]:
    """40 batches of the whole job, nearly two epochs, by tf.data."""
    stream = of_host(records, 1, 0, read=segdata.read_instances)
    return [num_pixels(batch) for batch in stream.take(40).as_numpy_iterator()]


@pytest.mark.parametrize(("num_hosts", "start"), [(1, 0), (2, 25)])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_torch_gives_the_samples_of_the_stream(
    records: RecordSource,
    streamed: list[list[tuple[int, int]]],
    num_workers: int,
    num_hosts: int,
    start: int,
) -> None:
    torch = pytest.importorskip("torch", reason="extra `torch`")
    size = 8 // num_hosts
    loaders = [
        torch.utils.data.DataLoader(
            of_host(records, num_hosts, host, start), size, num_workers=num_workers
        )
        for host in range(num_hosts)
    ]
    for expected, *parts in zip(streamed[start:], *loaders, strict=False):
        assert [pair for part in parts for pair in num_pixels(part)] == expected


@pytest.mark.parametrize(("num_hosts", "start"), [(1, 0), (2, 25)])
@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_grain_gives_the_samples_of_the_stream(
    records: RecordSource,
    streamed: list[list[tuple[int, int]]],
    num_workers: int,
    num_hosts: int,
    start: int,
) -> None:
    """On other hosts from another step on, and from Grain's own checkpoint."""
    grain = pytest.importorskip("grain", reason="extra `grain`")
    pytest.importorskip("absl.flags").FLAGS.mark_as_parsed()

    def loader(host: int) -> Any:
        source = of_host(records, num_hosts, host, start)
        batches = grain.MapDataset.source(source).batch(8 // num_hosts)
        stream = batches.to_iter_dataset(grain.ReadOptions(prefetch_buffer_size=4))
        if num_workers:
            workers = grain.MultiprocessingOptions(num_workers=num_workers)
            stream = stream.mp_prefetch(workers)
        return stream

    loaders = [iter(loader(host)) for host in range(num_hosts)]
    for step, expected in enumerate(streamed[start:]):
        if step == 5:
            states = [host.get_state() for host in loaders]
            loaders = [iter(loader(host)) for host in range(num_hosts)]
            for host, state in zip(loaders, states, strict=True):
                host.set_state(state)
        parts = [next(host) for host in loaders]
        assert [pair for part in parts for pair in num_pixels(part)] == expected


def test_jax_learns_the_same_from_both_readers(
    shared_data: Path, tmp_path: Path
) -> None:
    """The example, on 8 devices that are drawn."""
    pytest.importorskip("jax")
    pytest.importorskip("grain")
    segdata.build(CamVid(), shared_data / "camvid", tmp_path / "out")
    script = Path(__file__).parents[2] / "examples/train_jax.py"
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}

    def losses(reader: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, script, tmp_path / "out", reader],
            env=os.environ | flags,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = done.stdout.splitlines()
        assert all(line.startswith("8 devices, loss ") for line in lines)
        return [float(line.split()[-1]) for line in lines]

    found = losses("tf.data")
    assert len(found) == 6
    assert found[-1] < found[0]
    np.testing.assert_allclose(losses("grain"), found, rtol=1e-4)
