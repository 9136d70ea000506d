import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nearest import crop, move, numbers
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

import segdata
from segdata.building.build import build
from segdata.errors import OptionError
from segdata.formats.coco.format import Coco
from segdata.reading.geometry import choose_geometry
from segdata.reading.options import Augmentation, InstanceOptions, Resize
from segdata.reading.record_source import RecordSource
from segdata.records.proto import Example, parse, serialize
from segdata.records.record import Record
from segdata.records.schema import OBJECT_RUNS, SCHEMA, SOURCE_ID
from segdata.samples.coco import write_coco_sample
from segdata.streams.reader import PADDING_ID
from segdata.streams.tensorflow import tf

JITTER = Augmentation(
    scale=(0.5, 2.0), horizontal_flip=0.5, brightness=0.1, contrast=0.2, hue=0.1
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn COCO dataset of 22 and 6 images, in 4 shards of each split."""
    folder = tmp_path_factory.mktemp("shapes")
    write_coco_sample(folder / "source", seed=0, num_train=22, num_val=6)
    _build(folder / "source", folder / "out")
    return folder / "out"


def _build(source: Path, out: Path, coco: Coco | None = None) -> None:
    build(coco or Coco(), source, out, num_shards=4)


def read(directory: Path, split: str = "train", **options: Any) -> tf.data.Dataset:
    defaults = {"batch_size": 4, "image_size": (64, 64)}
    return segdata.read_instances(directory, split, **defaults | options)


def images(stream: tf.data.Dataset) -> Iterator[dict[str, NDArray[Any]]]:
    """Single images, without those that fill up."""
    for batch in stream.as_numpy_iterator():
        for row in range(len(batch["image_id"])):
            if batch["image_id"][row] != PADDING_ID:
                yield {name: values[row] for name, values in batch.items()}


def ids(stream: tf.data.Dataset) -> list[int]:
    return [int(i) for batch in stream for i in batch["image_id"]]


def records(directory: Path, split: str = "train") -> dict[int, Record]:
    return {int(record.source_id): record for record in RecordSource(directory, split)}


def test_shapes_are_static_and_dtypes_as_documented(shapes: Path) -> None:
    options = InstanceOptions(max_objects=7, mask_size=28)
    stream = read(shapes, instances=options)
    assert {n: (s.shape, s.dtype.name) for n, s in stream.element_spec.items()} == {
        "image": ((4, 64, 64, 3), "uint8"),
        "image_id": ((4,), "int64"),
        "image_size": ((4, 2), "int32"),
        "scale": ((4, 2), "float32"),
        "offset": ((4, 2), "float32"),
        "boxes": ((4, 7, 4), "float32"),
        "classes": ((4, 7), "int32"),
        "valid": ((4, 7), "bool"),
        "crowd": ((4, 7), "bool"),
        "has_mask": ((4, 7), "bool"),
        "area": ((4, 7), "float32"),
        "object_id": ((4, 7), "int64"),
        "num_objects": ((4,), "int32"),
        "masks": ((4, 7, 28, 28), "uint8"),
    }
    assert len(stream) == 6
    assert len(list(stream)) == 6


def test_images_are_normalized_on_request(shapes: Path) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.5, 0.2)
    no_masks = InstanceOptions(masks="none")
    plain = next(images(read(shapes, instances=no_masks)))["image"]
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.02)):
        options = segdata.ImageOptions(dtype=dtype, mean=mean, std=std)
        found = next(images(read(shapes, image=options, instances=no_masks)))["image"]
        assert found.dtype == tf.as_dtype(dtype).as_numpy_dtype
        expected = (plain / 255 - mean) / std
        np.testing.assert_allclose(found.astype(float), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("mode", "masks"), [("stretch", "crops"), ("pad", "dense"), ("cover", "crops")]
)
def test_masks_and_boxes_equal_those_of_the_records(
    shapes: Path, mode: Any, masks: Any
) -> None:
    size = (40, 56)
    stored = records(shapes)
    options = InstanceOptions(max_objects=50, masks=masks, mask_size=17)
    num_masks = 0
    for found in images(
        read(shapes, image_size=size, resize=Resize(mode=mode), instances=options)
    ):
        record = stored.pop(int(found["image_id"]))
        num_masks += _check(found, record, size, Resize(mode=mode), masks)
    assert not stored
    assert num_masks > 30


def _check(
    found: dict[str, NDArray[Any]],
    record: Record,
    size: tuple[int, int],
    resize: Resize,
    masks: str,
    dense_of: Callable[[int], NDArray[np.uint8] | None] | None = None,
) -> int:
    """Compares one image's slots with the record; returns how many masks it had."""
    geometry = choose_geometry(
        record.height, record.width, size, resize, Augmentation(), None
    )
    rows, columns = numbers(geometry.rows), numbers(geometry.columns)
    by_id = {item.source["id"]: item for item in record.objects}
    assert found["num_objects"] == len(by_id)
    assert found["image_size"].tolist() == [record.height, record.width]
    taken = found["valid"] | found["crowd"]
    for slot in np.flatnonzero(taken):
        item = by_id.pop(int(found["object_id"][slot]))
        assert (found["classes"][slot], found["crowd"][slot]) == (
            item.label,
            item.is_crowd,
        )
        # Back in the stored image, the box is the source's, cut to what is shown.
        corners = (found["boxes"][slot].reshape(2, 2) - found["offset"]) / found[
            "scale"
        ]
        low = [rows["low"], columns["low"]]
        high = [rows["low"] + rows["size"], columns["low"] + columns["size"]]
        shown = np.clip(np.reshape(item.box, (2, 2)), low, high)
        np.testing.assert_allclose(corners, shown, atol=1e-2)
        dense = dense_of(item.source["id"]) if dense_of else record.mask(item)
        assert found["has_mask"][slot] == (dense is not None)
        if dense is None:
            assert not found["masks"][slot].any()
        elif masks == "dense":
            np.testing.assert_array_equal(
                found["masks"][slot], move(dense, rows, columns)
            )
        else:
            _, [part] = geometry.move_boxes(np.array([item.box], np.float64))
            expected = crop(dense, part, found["masks"].shape[1:])
            np.testing.assert_array_equal(found["masks"][slot], expected)
    for item in by_id.values():  # no slot: nothing to see
        dense = record.mask(item)
        is_empty = dense is not None and not dense.any()
        assert is_empty or area_left(geometry, item.box) <= 0
    return int(taken.sum())


def area_left(geometry: Any, box: tuple[float, ...]) -> float:
    """Area that is left of a box."""
    _, [shown] = geometry.move_boxes(np.array([box], np.float64))
    return float((shown[2] - shown[0]) * (shown[3] - shown[1]))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "masks", ["dense", pytest.param("crops", marks=pytest.mark.slow)]
)
def test_every_real_coco_mask_equals_pycocotools(
    shared_data: Path, real_build: Callable[[str], Path], masks: Any
) -> None:
    out = real_build("coco")
    stored = records(out)
    by_id = _source_masks(shared_data / "coco")
    size = (320, 320) if masks == "dense" else (640, 640)
    options = InstanceOptions(max_objects=120, masks=masks, mask_size=56)
    stream = read(out, batch_size=1, image_size=size, instances=options)
    num_masks = 0
    for found in images(stream):
        record = stored.pop(int(found["image_id"]))
        num_masks += _check(found, record, size, Resize(mode="pad"), masks, by_id)
    assert not stored
    assert num_masks >= 1_450


def _source_masks(source: Path) -> Callable[[int], NDArray[np.uint8]]:
    import json

    [path] = (source / "annotations").glob("*.json")
    data = json.loads(path.read_text())
    sizes = {i["id"]: (i["height"], i["width"]) for i in data["images"]}
    annotations = {a["id"]: a for a in data["annotations"]}

    def dense(annotation_id: int) -> NDArray[np.uint8]:
        annotation = annotations[annotation_id]
        segmentation = annotation["segmentation"]
        size = sizes[annotation["image_id"]]
        if isinstance(segmentation, list):
            encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        else:
            encoded = coco_mask.frPyObjects(segmentation, *size)
        decoded: NDArray[np.uint8] = coco_mask.decode(encoded)
        return decoded

    return dense


def test_hosts_get_every_record_once_in_equally_many_batches(shapes: Path) -> None:
    options = {"shuffle": True, "instances": InstanceOptions(masks="none")}
    hosts = [
        ids(read(shapes, num_shards=3, shard_index=host, **options))
        for host in range(3)
    ]
    seen = Counter(i for host in hosts for i in host if i != PADDING_ID)
    assert seen == Counter(list(records(shapes)))
    assert len({len(host) for host in hosts}) == 1


def equal(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one.keys() | other)


def test_resumed_streams_equal_the_uninterrupted_one(shapes: Path) -> None:
    """22 records by 4: the epoch ends inside of step 5."""
    options = {
        "shuffle": True,
        "repeat": True,
        "augmentation": JITTER,
        "instances": InstanceOptions(max_objects=9, mask_size=14),
        "run_length": 2,
    }
    whole = list(read(shapes, **options).take(13).as_numpy_iterator())
    for step in (5, 11):
        resumed = read(shapes, start_step=step, **options).take(13 - step)
        for one, other in zip(whole[step:], resumed.as_numpy_iterator(), strict=True):
            assert equal(one, other)


def test_a_run_goes_on_with_other_hosts(shapes: Path) -> None:
    """1, then 4, then 2 hosts: batches are the same, augmentation too."""
    options = {"shuffle": True, "repeat": True, "augmentation": JITTER}
    whole = list(read(shapes, **options).take(10).as_numpy_iterator())
    for num_hosts, step in ((4, 3), (2, 7)):
        streams = [
            read(
                shapes,
                batch_size=4 // num_hosts,
                num_shards=num_hosts,
                shard_index=host,
                **options | where,
            ).as_numpy_iterator()
            for host, where in enumerate(
                [{"start_step": step}, {"start_sample": 4 * step}] * (num_hosts // 2)
            )
        ]
        for expected in whole[step : step + 3]:
            parts = [next(stream) for stream in streams]
            together = {
                name: np.concatenate([part[name] for part in parts])
                for name in expected
            }
            assert equal(together, expected)


def test_augmentation_depends_on_seed_epoch_and_record_alone(shapes: Path) -> None:
    no_masks = InstanceOptions(masks="none")
    options = {"repeat": True, "augmentation": JITTER, "instances": no_masks}

    def epochs(count: int, **more: Any) -> list[dict[int, NDArray[Any]]]:
        stream = images(read(shapes, batch_size=1, **options | more))
        return [
            {int(i["image_id"]): i["image"] for i in itertools.islice(stream, 22)}
            for _ in range(count)
        ]

    first, second = epochs(2)
    [shuffled], [reseeded] = epochs(1, shuffle=True), epochs(1, seed=1)
    assert all(np.array_equal(first[i], shuffled[i]) for i in first)
    for other in (second, reseeded):
        same = [np.array_equal(first[i], other[i]) for i in first]
        assert not any(same)


def test_jittered_images_masks_and_boxes_stay_together(shapes: Path) -> None:
    """Masks on the canvas lie in their boxes, and crops agree with them."""
    options = {"augmentation": JITTER, "image_size": (96, 96), "seed": 3}
    dense = images(read(shapes, instances=InstanceOptions(masks="dense"), **options))
    num_masks = 0
    for found in dense:
        for slot in np.flatnonzero(found["valid"] & found["has_mask"]):
            y, x = np.nonzero(found["masks"][slot])
            if not len(y):
                continue
            top, left, bottom, right = found["boxes"][slot]
            assert top - 1.5 <= y.min() <= y.max() <= bottom + 1.5
            assert left - 1.5 <= x.min() <= x.max() <= right + 1.5
            num_masks += 1
    assert num_masks > 20


def graph_ops(stream: tf.data.Dataset) -> set[str]:
    """Names of all op types in a stream and the functions it calls."""
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=stream._variant_tensor)
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return {node.op for node in nodes}


def test_no_python_function_is_in_the_graph(shapes: Path) -> None:
    stream = read(
        shapes,
        shuffle=True,
        repeat=True,
        augmentation=JITTER,
        image=segdata.ImageOptions(dtype="bfloat16"),
    )
    ops = graph_ops(stream)
    assert {"TFRecordDatasetV2", "DecodeImage", "RaggedRange"} <= ops
    assert not [op for op in ops if "PyFunc" in op or "Generator" in op]
    by_python = stream.map(lambda b: tf.numpy_function(len, [b["image"]], tf.int64))
    assert [op for op in graph_ops(by_python) if "PyFunc" in op]  # it would be seen


def test_streams_work_in_the_tf_data_service(shapes: Path) -> None:
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    worker = tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    )
    stream = read(shapes, shuffle=True, augmentation=JITTER, seed=4)
    expected = list(stream.as_numpy_iterator())
    served = stream.apply(
        tf.data.experimental.service.distribute(
            processing_mode=tf.data.experimental.service.ShardingPolicy.OFF,
            service=dispatcher.target,
        )
    )
    found = list(served.as_numpy_iterator())
    assert len(found) == len(expected)
    assert all(map(equal, found, expected))
    del worker


def _rewritten(shapes: Path, out: Path, change: Callable[[Example], None]) -> Path:
    """A copy of the build whose first record of every shard is changed."""
    import shutil

    from segdata.shards.tfrecord import RecordWriter, read_records

    shutil.copytree(shapes, out)
    for path in out.glob("*.tfrecord-*"):
        examples = [parse(raw.data) for raw in read_records(path)]
        if examples:
            change(examples[0])
        with open(path, "wb") as file:
            writer = RecordWriter(file)
            for example in examples:
                writer.write(serialize(example))
        lines = zip(writer.offsets, writer.sizes, strict=True)
        index = "".join(f"{offset} {size}\n" for offset, size in lines)
        (out / "index" / f"{path.name}.idx").write_text(index)
    return out


def _drop_runs(example: Any) -> None:
    values = example.features.feature[OBJECT_RUNS.key].int64_list.value
    if len(values):
        values[0] += 1


def _make_newer(example: Any) -> None:
    example.features.feature[SCHEMA.key].int64_list.value[0] = 99


def _lose_id(example: Any) -> None:
    """By another key of the same length: a shard of another size is not even opened."""
    entries = example.features.feature
    entries[SOURCE_ID.key[::-1]].CopyFrom(entries[SOURCE_ID.key])
    del entries[SOURCE_ID.key]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop_runs, r"do not sum to height \* width.*\S+ in \S+tfrecord-0000\d"),
        (_make_newer, r"written by a newer segdata.*99.*\S+ in \S+tfrecord-0000\d"),
        (_lose_id, r"lacks a required.*1 0 1.*\S+ in \S+tfrecord-0000\d"),
    ],
)
def test_damaged_records_are_named(
    shapes: Path, tmp_path: Path, change: Any, message: str
) -> None:
    out = _rewritten(shapes, tmp_path / "out", change)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(read(out))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "split 'test' is not in this dataset: it has train, val"),
        ({"image_size": (8, 0)}, r"image_size is \(8, 0\)"),
        (
            {"label_map": True},
            "label_map is True, but dataset 'coco' has no label maps",
        ),
        ({"start_step": -1}, "start_step is -1: expected at least 0"),
    ],
)
def test_bad_options_are_refused(
    shapes: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        read(shapes, **options)


def test_keypoints_of_a_dataset_without_any_are_refused(
    shapes: Path, tmp_path: Path
) -> None:
    source = shapes.parent / "source"
    _build(source, tmp_path / "out", Coco(keypoints="none"))
    with pytest.raises(OptionError, match="has no keypoints"):
        read(tmp_path / "out", instances=InstanceOptions(keypoints=True))


def test_datasets_without_objects_are_refused(camvid_build: Path) -> None:
    with pytest.raises(OptionError, match="has no objects: read_instances cannot read"):
        read(camvid_build)
