import importlib
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segdata
from segdata.building.build import build
from segdata.errors import OptionError, OutputError
from segdata.formats.camvid.format import CamVid
from segdata.reading.options import Augmentation
from segdata.reading.record_source import RecordSource
from segdata.streams.reader import PADDING_ID
from segdata.streams.tensorflow import tf


def ids(stream: tf.data.Dataset) -> list[int]:
    return [int(i) for batch in stream for i in batch["image_id"]]


def real_ids(stream: tf.data.Dataset) -> list[int]:
    return [i for i in ids(stream) if i != PADDING_ID]


def all_ids(build_dir: Path, split: str) -> list[int]:
    return [int(record.source_id) for record in RecordSource(build_dir, split)]


def all_ids_sorted(build_dir: Path) -> list[int]:
    return sorted(all_ids(build_dir, "val"))


def graph_ops(stream: tf.data.Dataset) -> set[str]:
    """Names of all op types in a stream and the functions it calls."""
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=stream._variant_tensor)
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return {node.op for node in nodes}


def is_python(op: str) -> bool:
    return "PyFunc" in op or "Generator" in op


@pytest.mark.parametrize(
    ("remainder", "image_size"), [("pad", None), ("drop", (64, 48))]
)
def test_shapes_are_static(
    camvid_build: Path, remainder: Any, image_size: tuple[int, int] | None
) -> None:
    stream = segdata.read_semantic(
        camvid_build, "val", batch_size=5, image_size=image_size, remainder=remainder
    )
    height, width = image_size or (360, 480)
    assert {name: s.shape for name, s in stream.element_spec.items()} == {
        "image": (5, height, width, 3),
        "label_map": (5, height, width),
        "image_id": (5,),
    }
    for batch in stream:
        assert batch["image"].shape == (5, height, width, 3)


def test_records_equal_the_source_files_and_fill_the_last_batch(
    camvid_source: Path, camvid_build: Path
) -> None:
    batches = list(segdata.read_semantic(camvid_build, "val", batch_size=5))
    assert len(batches) == 3
    last = batches[-1]
    assert last["image_id"].numpy().tolist()[2:] == [PADDING_ID] * 3
    assert (last["label_map"][2:].numpy() == 11).all()  # CamVid's void
    assert (last["image"][2:].numpy() == 0).all()
    found = {
        int(image_id): (image, label_map)
        for batch in batches
        for image_id, image, label_map in zip(
            *(batch[name].numpy() for name in ("image_id", "image", "label_map")),
            strict=True,
        )
        if image_id != PADDING_ID
    }
    records = RecordSource(camvid_build, "val")
    assert len(found) == len(records) == 12
    for record in records:
        image, label_map = found[int(record.source_id)]
        name = Path(record.filename).name
        expected = np.asarray(Image.open(camvid_source / record.filename))
        np.testing.assert_array_equal(image, expected)
        expected = np.asarray(Image.open(camvid_source / "valannot" / name))
        np.testing.assert_array_equal(label_map, expected)


def test_a_short_last_batch_can_be_dropped_or_kept(tiny_build: Path) -> None:
    dropped = segdata.read_semantic(tiny_build, "train", batch_size=3, remainder="drop")
    assert len(ids(dropped)) == 3
    kept = segdata.read_semantic(tiny_build, "train", batch_size=3, remainder="keep")
    assert [len(batch["image_id"]) for batch in kept] == [3, 2]


@pytest.mark.parametrize(("split", "num_shards"), [("train", 2), ("val", 4)])
def test_hosts_get_disjoint_records_that_cover_the_split(
    tiny_build: Path, split: str, num_shards: int
) -> None:
    """3 records are in `val`: the fourth host gets none."""
    streams = [
        segdata.read_semantic(
            tiny_build,
            split,
            batch_size=2,
            num_shards=num_shards,
            shard_index=index,
        )
        for index in range(num_shards)
    ]
    seen = Counter(i for stream in streams for i in real_ids(stream))
    assert seen == Counter(all_ids(tiny_build, split))


def test_shuffling_is_seeded_and_differs_per_epoch(camvid_build: Path) -> None:
    def stream(seed: int) -> tf.data.Dataset:
        return segdata.read_semantic(
            camvid_build,
            "val",
            batch_size=4,
            image_size=(8, 8),
            shuffle=True,
            seed=seed,
        )

    one = stream(1)
    first, second, other = ids(one), ids(one), ids(stream(2))
    assert len({tuple(order) for order in (first, second, other)}) == 3
    assert sorted(first) == sorted(other) == sorted(all_ids(camvid_build, "val"))


@pytest.mark.parametrize("repeat", [False, True])
def test_iterators_are_saved_and_go_on(
    camvid_build: Path, tmp_path: Path, repeat: bool
) -> None:
    def stream() -> tf.data.Dataset:
        return segdata.read_semantic(
            camvid_build,
            "val",
            batch_size=2,
            image_size=8,
            shuffle=True,
            repeat=repeat,
            augmentation=Augmentation(horizontal_flip=0.5),
        ).take(6)

    batches = iter(stream())
    next(batches), next(batches)
    path = tf.train.Checkpoint(iterator=batches).save(str(tmp_path / "saved"))
    rest = list(batches)
    again = iter(stream())
    tf.train.Checkpoint(iterator=again).restore(path)
    assert len(rest) == 4
    for batch, same in zip(rest, again, strict=True):
        assert all(bool(tf.reduce_all(batch[key] == same[key])) for key in batch)


def test_streams_know_their_length(tiny_build: Path) -> None:
    """5 records: 3 batches of 2, 2 without the short one."""

    def length(**options: Any) -> int:
        stream = segdata.read_semantic(tiny_build, "train", batch_size=2, **options)
        return int(stream.cardinality())

    assert length() == length(remainder="keep") == 3
    assert length(remainder="drop") == length(start_step=1) == 2
    assert length(start_sample=4) == length(num_shards=4, shard_index=3) == 1
    assert length(start_step=9) == 0
    assert length(repeat=True) == tf.data.INFINITE_CARDINALITY


def test_a_repeated_pass_is_shuffled_anew(camvid_build: Path) -> None:
    stream = segdata.read_semantic(
        camvid_build, "val", batch_size=4, image_size=8, shuffle=True
    )
    twice = ids(stream.repeat(2))
    assert len(twice) == 24
    assert sorted(twice[:12]) == sorted(twice[12:]) == all_ids_sorted(camvid_build)
    assert twice[:12] != twice[12:]
    assert len(ids(stream.take(2))) == 8


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_of_tensorflow_share_a_whole_jobs_batches(
    camvid_build: Path, num_workers: int
) -> None:
    """As `experimental_distribute_dataset` does; a host's part is left as it is."""
    shard = importlib.import_module(
        "tensorflow.python.data.experimental.ops.distribute"
    )._AutoShardDataset

    def of_workers(**options: Any) -> list[list[int]]:
        stream = segdata.read_semantic(
            camvid_build, "val", batch_size=2, image_size=8, **options
        )
        workers = range(num_workers)
        return [ids(shard(stream, num_workers, worker)) for worker in workers]

    parts = of_workers()
    assert len({len(part) for part in parts}) == 1
    assert sorted(chain(*parts)) == all_ids_sorted(camvid_build)
    first, *others = of_workers(num_shards=2)
    assert len(first) == 6
    assert all(part == first for part in others)


def test_a_strategy_shares_out_a_stream(camvid_build: Path) -> None:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    stream = segdata.read_semantic(camvid_build, "val", batch_size=4, image_size=8)
    assert ids(strategy.experimental_distribute_dataset(stream)) == ids(stream)


def test_repeated_streams_have_no_short_batch(camvid_build: Path) -> None:
    stream = segdata.read_semantic(
        camvid_build, "val", batch_size=5, image_size=(8, 8), repeat=True
    )
    assert PADDING_ID not in ids(stream.take(12))


def test_no_python_function_is_in_the_graph(camvid_build: Path) -> None:
    stream = segdata.read_semantic(
        camvid_build, "val", batch_size=4, image_size=(8, 8), shuffle=True
    )
    ops = graph_ops(stream)
    assert {"TFRecordDatasetV2", "DecodeImage", "RaggedRange"} & ops
    assert not set(filter(is_python, ops))
    by_python = stream.map(
        lambda batch: tf.numpy_function(len, [batch["image"]], tf.int64)
    )
    assert set(filter(is_python, graph_ops(by_python)))  # the test would see one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0: expected at least 1"),
        ({"image_size": (0, 8)}, r"image_size is \(0, 8\)"),
        ({"remainder": "lose"}, "remainder is 'lose'"),
        ({"run_length": 0}, "run_length is 0"),
        ({"start_step": -1}, "start_step is -1"),
        ({"start_step": 1, "start_sample": 4}, "start_step is 1 and start_sample 4"),
        ({"num_shards": 2, "shard_index": 2}, "shard_index is 2 of num_shards 2"),
        ({"split": "test"}, "split 'test' is not in this dataset: it has train, val"),
    ],
)
def test_bad_options_are_refused(
    camvid_build: Path, options: dict[str, Any], message: str
) -> None:
    arguments = {"split": "val", "batch_size": 2, **options}
    with pytest.raises(OptionError, match=message):
        segdata.read_semantic(camvid_build, **arguments)


def test_a_directory_without_a_finished_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no finished build"):
        segdata.read_semantic(tmp_path, "train", batch_size=1)


def test_images_of_different_sizes_need_a_target_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    shapes = [(9, 7), (5, 12), (30, 4)]
    for folder in ("train", "trainannot"):
        (source / folder).mkdir(parents=True)
    for index, shape in enumerate(shapes):
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(image).save(source / f"train/{index}.png")
        labels = rng.integers(0, 12, shape, dtype=np.uint8)
        Image.fromarray(labels).save(source / f"trainannot/{index}.png")
    out = tmp_path / "out"
    build(CamVid(), source, out)
    with pytest.raises(OptionError, match=r"differ in size.*pass image_size"):
        segdata.read_semantic(out, "train", batch_size=3)
    (batch,) = segdata.read_semantic(out, "train", batch_size=3, image_size=(6, 10))
    for record, label_map in zip(
        RecordSource(out, "train"), batch["label_map"].numpy(), strict=True
    ):
        dense = record.label_map()
        assert dense is not None
        expected = tf.image.resize(dense[..., None], (6, 10), method="nearest")
        np.testing.assert_array_equal(label_map, expected[..., 0])


def test_real_camvid_label_maps_equal_their_pngs(
    shared_data: Path, real_build: Callable[[str], Path]
) -> None:
    """Those of `val`: the other split's records are compared where they are built."""
    source, out = shared_data / "camvid", real_build("camvid")
    files = {
        int(record.source_id): Path(record.filename)
        for record in RecordSource(out, "val")
    }
    assert len(files) == 101
    stream = segdata.read_semantic(out, "val", batch_size=16)
    for batch in stream.as_numpy_iterator():
        for image_id, image, label_map in zip(
            batch["image_id"], batch["image"], batch["label_map"], strict=True
        ):
            if image_id == PADDING_ID:
                continue
            path = files.pop(int(image_id))
            label = source / "valannot" / path.name
            np.testing.assert_array_equal(label_map, np.asarray(Image.open(label)))
            np.testing.assert_array_equal(image, np.asarray(Image.open(source / path)))
    assert not files


def test_random_flip_at_the_stored_size_mirrors_image_and_label_map(
    camvid_build: Path,
) -> None:
    def first(augmentation: Augmentation | None) -> dict[str, np.ndarray]:
        stream = segdata.read_semantic(
            camvid_build, "val", batch_size=12, augmentation=augmentation
        )
        batch = next(iter(stream))
        return {name: batch[name].numpy() for name in ("image", "label_map")}

    plain, random = first(None), first(Augmentation(horizontal_flip=0.5))
    for name, array in plain.items():
        as_stored = [(a == b).all() for a, b in zip(array, random[name], strict=True)]
        for index, same in enumerate(as_stored):
            if not same:
                np.testing.assert_array_equal(
                    random[name][index], array[index][:, ::-1]
                )
        assert 0 < sum(as_stored) < 12
