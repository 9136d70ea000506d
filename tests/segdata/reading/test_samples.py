"""Samples against the streams, with the same options."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segdata
from segdata.building.build import build
from segdata.errors import OptionError
from segdata.formats.coco.format import Coco
from segdata.reading.options import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    ImageOptions,
    InstanceOptions,
    Resize,
)
from segdata.samples.coco import write_coco_sample

JITTER = Augmentation(
    scale=(0.5, 2.0),
    horizontal_flip=0.5,
    vertical_flip=0.3,
    brightness=0.1,
    contrast=0.2,
    saturation=0.3,
    hue=0.1,
)
SHUFFLED = {"shuffle": True, "repeat": True, "seed": 5}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn COCO dataset of 22 and 6 images, with label maps."""
    folder = tmp_path_factory.mktemp("shapes")
    write_coco_sample(folder / "source", seed=0, num_train=22, num_val=6)
    build(Coco(semantic=True), folder / "source", folder / "out", num_shards=3)
    return folder / "out"


def compare(
    source: segdata.SampleSource, stream: Any, count: int, tolerance: float = 1
) -> None:
    """Everything is equal to the bit, floats but for rounding, images to a level.

    Where a JPEG is cut, TensorFlow's decoder has other colours in the last column.
    """
    batches = itertools.islice(source.batches(), count)
    num_compared = 0
    for found, expected in zip(batches, stream.take(count), strict=True):
        assert found.keys() == expected.keys()
        for name, array in found.items():
            other = expected[name].numpy()
            assert (array.dtype, array.shape) == (other.dtype, other.shape), name
            if name == "image":
                apart = np.abs(array.astype(float) - other.astype(float))
                is_cut = source._decoding.is_random
                assert (apart > tolerance).mean() <= (1e-3 if is_cut else 0)
            elif array.dtype == np.float32:
                np.testing.assert_allclose(array, other, rtol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(array, other, err_msg=name)
        num_compared += 1
    assert num_compared == count


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resize": Resize(mode="stretch"), "instances": InstanceOptions(masks="dense")},
        {
            "resize": Resize(mode="cover", position="random"),
            "instances": InstanceOptions(max_objects=2, overflow="first"),
            "label_map": True,
            **SHUFFLED,
        },
        {
            "augmentation": JITTER,
            "instances": InstanceOptions(
                masks="dense", boxes="normalized", min_visible=0.4, crowds="drop"
            ),
            **SHUFFLED,
        },
        {
            "augmentation": JITTER,
            "label_map": True,
            "image": ImageOptions(pad_color=(9, 8, 7)),
            **SHUFFLED,
        },
        {"resize": Resize(mode="short_side", short_side=40), "start_step": 3},
    ],
)
def test_instances_equal_the_stream(shapes: Path, options: dict[str, Any]) -> None:
    options = {"batch_size": 4, "image_size": (64, 96), **options}
    source = segdata.instances_source(shapes, "train", **options)
    stream = segdata.read_instances(shapes, "train", **options)
    compare(source, stream, 8 if options.get("repeat") else int(stream.cardinality()))


@pytest.mark.parametrize(
    "options",
    [
        {"remainder": "keep"},
        {"image_size": (64, 96), "remainder": "drop"},
        {
            "image_size": 50,
            "resize": Resize(mode="pad"),
            "augmentation": Augmentation(scale=(0.5, 2.0), horizontal_flip=0.5),
            "image": ImageOptions(
                dtype="float32", mean=IMAGENET_MEAN, std=IMAGENET_STD
            ),
            **SHUFFLED,
        },
    ],
)
def test_label_maps_equal_the_stream(
    camvid_build: Path, options: dict[str, Any]
) -> None:
    options = {"batch_size": 5, **options}
    source = segdata.semantic_source(camvid_build, "val", **options)
    stream = segdata.read_semantic(camvid_build, "val", **options)
    compare(source, stream, 3 if options.get("repeat") else int(stream.cardinality()))


def test_a_filled_batch_equals_the_streams(camvid_build: Path) -> None:
    image = ImageOptions(dtype="float32", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    options = {"batch_size": 4, "image_size": 16, "image": image, "start_sample": 9}
    source = segdata.semantic_source(camvid_build, "val", resize=Resize(), **options)
    stream = segdata.read_semantic(camvid_build, "val", resize=Resize(), **options)
    compare(source, stream, 1, tolerance=0.02)
    assert source[3]["image_id"] == -1


def test_hosts_share_batches(shapes: Path) -> None:
    options = {"image_size": 32, **SHUFFLED}
    whole = segdata.instances_source(shapes, "train", batch_size=4, **options)
    hosts = [
        segdata.instances_source(
            shapes, "train", batch_size=2, num_shards=2, shard_index=host, **options
        )
        for host in range(2)
    ]
    ids = [int(sample["image_id"]) for sample in whole[:8]]
    parts = [[int(sample["image_id"]) for sample in host[:4]] for host in hosts]
    assert parts == [ids[:2] + ids[4:6], ids[2:4] + ids[6:8]]


def test_a_source_can_be_pickled(shapes: Path) -> None:
    source = segdata.instances_source(shapes, "val", batch_size=2, image_size=16)
    again = pickle.loads(pickle.dumps(source))
    assert len(again) == len(source) == 6
    assert repr(again) == repr(source)
    for name, array in source[-1].items():
        np.testing.assert_array_equal(array, again[5][name])
    with pytest.raises(IndexError, match="sample 6 of 6"):
        source[6]


def test_what_numpy_lacks_is_refused(shapes: Path, camvid_build: Path) -> None:
    image = ImageOptions(dtype="bfloat16")
    with pytest.raises(OptionError, match="'bfloat16', which NumPy lacks"):
        segdata.instances_source(
            shapes, "val", batch_size=2, image_size=16, image=image
        )
    with pytest.raises(OptionError, match="has no objects"):
        segdata.instances_source(camvid_build, "val", batch_size=2, image_size=16)
