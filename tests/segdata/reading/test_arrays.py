from __future__ import annotations

import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segdata
from segdata.building.sources import read_files
from segdata.errors import CorruptionError, OptionError
from segdata.formats.coco.format import Coco
from segdata.label_map import LabelClass, LabelMap
from segdata.reading.arrays import ArrayOptions, ArraySource, record_arrays
from segdata.reading.record_source import RecordSource
from segdata.records.encode import encode_record
from segdata.records.parse import parse_record
from segdata.records.proto import feature_values, serialize
from segdata.records.schema import LABEL_LENGTHS, OBJECT_RUNS
from segdata.records.to_example import to_example
from segdata.shards.manifest import Manifest, read_manifest

HEIGHT, WIDTH = 12, 16
CAT = LabelClass(
    id=1, name="cat", color=(1, 1, 1), source_ids=(7,), keypoints=("nose", "tail")
)
LABELS = LabelMap(
    object_classes=(CAT,),
    semantic_classes=(LabelClass(id=0, name="floor", color=(0, 0, 0)), CAT),
    unpainted_id=0,
)


def masked(x: int, y: int, size: int, **data: Any) -> dict[str, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + size, x : x + size] = 1
    return {"category_id": 7, "segmentation": mask, **data}


SCENE = (
    masked(2, 3, 4, id=9, keypoints=[1, 2, 2, 3, 4, 1]),
    {"category_id": 7, "bbox": [1, 1, 5, 6], "id": "text", "area": 2.5},
    masked(0, 0, 12, iscrowd=1),
)


def example_of(tmp_path: Path, *objects: dict[str, Any]) -> Any:
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(tmp_path / "a.png")
    data = {"image": "a.png", "image_id": 5, "objects": list(objects)}
    data["paint_label_map"] = True
    return to_example(encode_record(data, read_files(data, tmp_path), LABELS), LABELS)


def arrays_of(tmp_path: Path, *objects: dict[str, Any], **options: Any) -> Any:
    record = parse_record(serialize(example_of(tmp_path, *objects)), "record 0")
    return record_arrays(record, ArrayOptions(**options), LABELS.num_keypoints)


# --- what a record becomes -----------------------------------------------------------


def test_every_array_has_its_shape_and_type(tmp_path: Path) -> None:
    found = arrays_of(tmp_path, *SCENE)
    assert {name: (a.shape, a.dtype.name) for name, a in found.items()} == {
        "image": ((HEIGHT, WIDTH, 3), "uint8"),
        "image_id": ((), "int64"),
        "label_map": ((HEIGHT, WIDTH), "uint8"),
        "boxes": ((3, 4), "float32"),
        "classes": ((3,), "int32"),
        "crowd": ((3,), "bool"),
        "has_mask": ((3,), "bool"),
        "area": ((3,), "float32"),
        "object_id": ((3,), "int64"),
        "keypoints": ((3, 2, 3), "float32"),
        "masks": ((3, HEIGHT, WIDTH), "uint8"),
    }


def test_values_are_the_records(tmp_path: Path) -> None:
    found = arrays_of(tmp_path, *SCENE)
    assert found["image_id"] == 5
    assert found["image"][0, 0].tolist() == [1, 2, 3]
    assert found["classes"].tolist() == [1, 1, 1]
    assert found["crowd"].tolist() == [False, False, True]
    assert found["has_mask"].tolist() == [True, False, True]
    assert found["area"].tolist() == [16, 2.5, 144]
    assert found["object_id"].tolist() == [9, -1, -1]
    np.testing.assert_allclose(found["boxes"][:2], [[3, 2, 7, 6], [1, 1, 7, 6]], 1e-6)
    np.testing.assert_allclose(found["keypoints"][0], [[1, 2, 2], [3, 4, 1]], 1e-6)
    assert not found["keypoints"][1:].any()
    assert [int(mask.sum()) for mask in found["masks"]] == [16, 0, 144]
    assert found["label_map"].sum() == 144


def test_image_without_objects_has_empty_arrays_of_the_same_rank(
    tmp_path: Path,
) -> None:
    full, empty = arrays_of(tmp_path, *SCENE), arrays_of(tmp_path)
    assert {n: a.ndim for n, a in full.items()} == {n: a.ndim for n, a in empty.items()}
    assert {n: a.dtype for n, a in full.items()} == {
        n: a.dtype for n, a in empty.items()
    }
    assert empty["boxes"].shape == (0, 4)
    assert empty["masks"].shape == (0, HEIGHT, WIDTH)
    assert empty["keypoints"].shape == (0, 2, 3)


def test_arrays_can_be_written_to(tmp_path: Path) -> None:
    for array in arrays_of(tmp_path, *SCENE).values():
        assert array.flags.writeable


def test_crops_have_the_size_asked_for(tmp_path: Path) -> None:
    found = arrays_of(tmp_path, *SCENE, masks="crops", crop_size=(5, 7))
    assert found["masks"].shape == (3, 5, 7)
    assert [int(crop.sum()) for crop in found["masks"]] == [35, 0, 35]


def test_masks_are_left_out_where_none_are_wanted(tmp_path: Path) -> None:
    assert "masks" not in arrays_of(tmp_path, *SCENE, masks="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"masks": "polygons"},
            r"masks is 'polygons': expected 'dense', 'crops' or 'non",
        ),
        ({"crop_size": (0, 3)}, r"crop_size is \(0, 3\): expected \(height, width\)"),
        ({"crop_size": (3,)}, r"crop_size is \(3,\)"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ArrayOptions(**options)


@pytest.mark.parametrize("feature", [OBJECT_RUNS, LABEL_LENGTHS])
def test_bad_runs_are_damage_of_a_named_record(tmp_path: Path, feature: Any) -> None:
    example = example_of(tmp_path, *SCENE)
    feature_values(example, feature.key)[0] += 2
    record = parse_record(serialize(example), "record 0")
    with pytest.raises(
        CorruptionError, match=r"record 'a': .*sum to .* expected 12x16"
    ):
        record_arrays(record, ArrayOptions())


# --- a sequence of them --------------------------------------------------------------


@pytest.fixture(scope="module")
def records(tiny_build: Path) -> RecordSource:
    return RecordSource(tiny_build, "train")


def total(arrays: dict[str, Any]) -> int:
    return int(arrays["image"].sum(dtype=np.int64)) + int(arrays["label_map"].sum())


@pytest.fixture(scope="module")
def totals(records: RecordSource) -> list[int]:
    return [total(arrays) for arrays in records.arrays()]


def test_sequence_is_that_of_the_records(records: RecordSource) -> None:
    arrays = records.arrays()
    assert len(arrays) == len(records) == 5
    for found, record in zip(arrays, records, strict=True):
        assert found["image_id"] == int(record.source_id)
        np.testing.assert_array_equal(found["image"], record.image())
        np.testing.assert_array_equal(found["label_map"], record.label_map())
    assert [a["image_id"] for a in arrays[1:4]] == [
        int(record.source_id) for record in records[1:4]
    ]
    assert arrays[-1]["image_id"] == int(records[4].source_id)


def test_index_out_of_range_is_an_index_error(records: RecordSource) -> None:
    with pytest.raises(IndexError, match="record 5 of 5"):
        records.arrays()[5]


def test_transform_gets_each_dict(records: RecordSource, totals: list[int]) -> None:
    assert list(records.arrays(transform=total)) == totals
    assert records.arrays(transform=total)[1:3] == totals[1:3]


def test_damaged_record_is_refused_by_its_crc(tiny_build: Path, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    shard = out / read_manifest(out).splits["train"].shards[0].name
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptionError, match="record 0 is damaged at byte 0"):
        RecordSource(out, "train").arrays()[0]


def read_totals(arrays: ArraySource, indices: list[int]) -> list[int]:
    return [total(arrays[index]) for index in indices]


def test_pickled_sequence_reads_the_same(
    records: RecordSource, totals: list[int]
) -> None:
    copy = pickle.loads(pickle.dumps(records.arrays(transform=total)))
    assert list(copy) == totals


def test_threads_share_it(records: RecordSource, totals: list[int]) -> None:
    arrays = records.arrays()
    indices = [i % len(totals) for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: total(arrays[index]), indices))
    assert found == [totals[index] for index in indices]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_worker_processes_share_it_however_they_start(
    records: RecordSource, totals: list[int], method: str
) -> None:
    arrays = records.arrays()
    assert total(arrays[0]) == totals[0]  # used before the workers start
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        numbers = list(range(len(arrays)))
        parts = [pool.submit(read_totals, arrays, numbers[k::4]) for k in range(4)]
        found = [part.result(timeout=60) for part in parts]
    assert found == [totals[k::4] for k in range(4)]


def test_a_loader_of_batches_needs_len_and_getitem_only(
    records: RecordSource, totals: list[int]
) -> None:
    """What `torch.utils.data.DataLoader` does with a map-style dataset."""
    arrays = records.arrays()
    order = np.random.default_rng(0).permutation(len(arrays)).tolist()
    batches = [order[i : i + 2] for i in range(0, len(order), 2)]
    images = [np.stack([arrays[i]["image"] for i in batch]) for batch in batches]
    assert [image.shape[0] for image in images] == [2, 2, 1]
    sums = [int(image.sum(dtype=np.int64)) for batch in images for image in batch]
    labels = [int(arrays[i]["label_map"].sum()) for i in order]
    assert [a + b for a, b in zip(sums, labels, strict=True)] == [
        totals[i] for i in order
    ]


def test_crops_are_those_of_the_stream(
    shared_data: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    build_plainly(shared_data / "coco", tmp_path, dataset_format=Coco())
    stream = segdata.read_instances(
        tmp_path,
        "train",
        batch_size=1,
        image_size=(64, 64),
        instances=segdata.InstanceOptions(
            max_objects=120, overflow="first", mask_size=28
        ),
    )
    source = RecordSource(tmp_path, "train").arrays(masks="crops", crop_size=(28, 28))
    by_id = {int(arrays["image_id"]): arrays for arrays in source}
    count = 0
    for batch in stream.as_numpy_iterator():
        arrays = by_id[int(batch["image_id"][0])]
        # Crowds stand last in the stream.
        order = np.argsort(arrays["crowd"], kind="stable")
        count += len(order)
        found = batch["masks"][0][: len(order)]
        np.testing.assert_array_equal(found, arrays["masks"][order])
    assert count == 1458


def test_real_coco_masks_are_the_records(
    shared_data: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    build_plainly(shared_data / "coco", tmp_path, dataset_format=Coco())
    records = RecordSource(tmp_path, "train")
    count = 0
    for record, arrays in zip(records, records.arrays(), strict=True):
        assert len(arrays["masks"]) == len(record.objects)
        for mask, item in zip(arrays["masks"], record.objects, strict=True):
            expected = record.mask(item)
            assert expected is not None
            np.testing.assert_array_equal(mask, expected)
            count += 1
    assert count == 1458
