"""PyTorch's and Grain's own loaders over `RecordSource.arrays`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segdata.formats.coco.format import Coco
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
