"""PNG masks: what is written, read back with the parse specs of their readers."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.sources import read_files
from segdata.errors import AnnotationError, OptionError
from segdata.label_map import LabelClass, LabelMap
from segdata.reading.record_source import RecordSource
from segdata.records import png_masks, schema
from segdata.records.encode import encode_record
from segdata.records.parse import parse_record
from segdata.records.proto import feature_values, serialize
from segdata.records.record import Record
from segdata.records.schema import Feature
from segdata.records.to_example import to_example
from segdata.shards.manifest import Manifest

HEIGHT, WIDTH = 12, 16
CAT, DOG, SKY, GRASS = (
    LabelClass(id=index, name=name, color=(index, 0, 0), source_ids=(index,))
    for index, name in enumerate(("cat", "dog", "sky", "grass"), 1)
)
THINGS = LabelMap(object_classes=(CAT, DOG))
STUFF = tuple(dataclasses.replace(c, is_thing=False) for c in (SKY, GRASS))
PANOPTIC = LabelMap(object_classes=(CAT, STUFF[0], DOG, STUFF[1]))


def semantic(*ids: int, **options: Any) -> LabelMap:
    classes = tuple(
        LabelClass(id=i, name=f"class {i}", color=(0, 0, 0), source_ids=(i,))
        for i in ids
    )
    return LabelMap(semantic_classes=classes, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    labels = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) // 48
    Image.fromarray(labels).save(tmp_path / "labels.png")
    return tmp_path


class Built:
    """One record with PNG masks."""

    def __init__(self, folder: Path, data: dict[str, Any], labels: LabelMap) -> None:
        whole = {"image": "a.png", **data}
        encoded = encode_record(whole, read_files(whole, folder), labels)
        self.example = to_example(encoded, labels, ("rle", "png"))
        self.record: Record = parse_record(serialize(self.example), "record 0")

    def values(self, feature: Feature) -> list[Any]:
        return list(feature_values(self.example, feature.key))

    def image(self, feature: Feature) -> NDArray[np.uint8]:
        [png] = self.values(feature)
        return decode(png)


def decode(png: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image)


def box(category: int, x: int, y: int, size: int, **data: Any) -> dict[str, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + size, x : x + size] = 1
    return {"category_id": category, "segmentation": mask, **data}


LABEL_IMAGE = {"label_image": {"path": "labels.png", "encoding": "index"}}


# --- which forms ---------------------------------------------------------------------


def test_nothing_is_added_where_png_is_not_asked_for(folder: Path) -> None:
    data = {"image": "a.png", "objects": [box(1, 0, 0, 3)]}
    encoded = encode_record(data, read_files(data, folder), THINGS)
    keys = set(to_example(encoded, THINGS).features.feature)
    added = {
        *schema.OBJECT_PNG_FEATURES,
        *schema.LABEL_PNG_FEATURES,
        *schema.PANOPTIC_PNG_FEATURES,
    }
    assert not keys & {feature.key for feature in added}


# --- objects -------------------------------------------------------------------------


def test_each_object_gets_its_mask_of_0_and_1(folder: Path) -> None:
    built = Built(folder, {"objects": [box(1, 2, 3, 4), box(2, 0, 0, 9)]}, THINGS)
    found = [decode(png) for png in built.values(schema.OBJECT_MASK)]
    for image, item in zip(found, built.record.objects, strict=True):
        np.testing.assert_array_equal(image, built.record.mask(item))
    assert [int(image.sum()) for image in found] == [16, 81]
    assert built.values(schema.OBJECT_MASK_WEIGHT) == [1, 1]


def test_object_with_only_a_box_gets_an_empty_mask_of_weight_0(folder: Path) -> None:
    only_box = {"category_id": 1, "bbox": [1, 1, 5, 5]}
    built = Built(folder, {"objects": [only_box, box(2, 0, 0, 2)]}, THINGS)
    found = [decode(png) for png in built.values(schema.OBJECT_MASK)]
    assert [image.shape for image in found] == [(HEIGHT, WIDTH)] * 2
    assert [int(image.sum()) for image in found] == [0, 4]
    assert built.values(schema.OBJECT_MASK_WEIGHT) == [0, 1]
    assert "object-without-mask" in built.record.notes


def test_empty_mask_keeps_its_weight(folder: Path) -> None:
    built = Built(folder, {"objects": [box(1, 0, 0, 0, bbox=[1, 1, 2, 2])]}, THINGS)
    assert decode(built.values(schema.OBJECT_MASK)[0]).sum() == 0
    assert built.values(schema.OBJECT_MASK_WEIGHT) == [1]


def test_image_without_objects_has_empty_lists(folder: Path) -> None:
    built = Built(folder, {"objects": []}, THINGS)
    assert schema.OBJECT_MASK.key in built.example.features.feature
    assert built.values(schema.OBJECT_MASK) == []


# --- label maps ----------------------------------------------------------------------


def test_label_map_is_written_once_more(folder: Path) -> None:
    built = Built(folder, LABEL_IMAGE, semantic(0, 1, 2, 3))
    label_map = built.record.label_map()
    np.testing.assert_array_equal(built.image(schema.LABEL_PNG), label_map)
    assert built.values(schema.LABEL_PNG_FORMAT) == [b"png"]


def test_class_to_ignore_is_255_whatever_its_id(folder: Path) -> None:
    built = Built(folder, LABEL_IMAGE, semantic(0, 1, 2, 3, ignore_id=2))
    label_map = built.record.label_map()
    assert label_map is not None
    assert set(np.unique(label_map)) == {0, 1, 2, 3}
    expected = np.where(label_map == 2, 255, label_map)
    np.testing.assert_array_equal(built.image(schema.LABEL_PNG), expected)


def test_ignored_255_stays(folder: Path) -> None:
    labels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    labels[0] = 1
    Image.fromarray(labels).save(folder / "labels.png")
    built = Built(folder, LABEL_IMAGE, semantic(0, 1, 255, ignore_id=255))
    np.testing.assert_array_equal(built.image(schema.LABEL_PNG), labels)


@pytest.mark.parametrize("ignore_id", [None, 0])
def test_class_255_that_counts_is_refused(ignore_id: int | None) -> None:
    labels = semantic(0, 255, ignore_id=ignore_id)
    with pytest.raises(OptionError, match=r"'class 255' has the id 255, which readers"):
        png_masks.check_label_map(labels)
    png_masks.check_label_map(semantic(0, 254, ignore_id=ignore_id))


# --- panoptic ------------------------------------------------------------------------

SCENE = [
    box(3, 0, 0, 4),
    box(1, 4, 0, 4),
    box(1, 8, 0, 4),
    box(4, 0, 4, 4),
    box(2, 4, 4, 4),
]


def test_category_mask_has_class_ids_and_0_for_void(folder: Path) -> None:
    built = Built(folder, {"objects": SCENE}, PANOPTIC)
    found = built.image(schema.PANOPTIC_CATEGORY)
    assert [found[y, x] for y, x in [(0, 0), (0, 4), (0, 8), (4, 0), (4, 4)]] == [
        *(3, 1, 1, 4, 2)
    ]
    assert found[11, 15] == 0
    assert np.count_nonzero(found) == 5 * 16


def test_instance_mask_numbers_things_and_leaves_stuff_0(folder: Path) -> None:
    built = Built(folder, {"objects": SCENE}, PANOPTIC)
    found = built.image(schema.PANOPTIC_INSTANCE)
    assert [found[y, x] for y, x in [(0, 0), (0, 4), (0, 8), (4, 0), (4, 4)]] == [
        *(0, 1, 2, 0, 3)
    ]


def test_panoptic_build_without_label_map_tells_thing_from_stuff(folder: Path) -> None:
    built = Built(folder, {"objects": SCENE}, PANOPTIC)
    found = built.image(schema.LABEL_PNG)
    assert [found[y, x] for y, x in [(0, 0), (0, 4), (0, 8), (4, 0), (4, 4)]] == [
        *(2, 1, 1, 3, 1)
    ]
    assert found[11, 15] == 0


def test_label_map_of_a_panoptic_build_goes_before(folder: Path) -> None:
    labels = dataclasses.replace(
        PANOPTIC, semantic_classes=(CAT, STUFF[0], DOG, STUFF[1]), unpainted_id=255
    )
    built = Built(folder, {"objects": SCENE, "paint_label_map": True}, labels)
    label_map = built.record.label_map()
    np.testing.assert_array_equal(built.image(schema.LABEL_PNG), label_map)


def test_panoptic_image_without_segments_is_void(folder: Path) -> None:
    built = Built(folder, {"objects": []}, PANOPTIC)
    for feature in schema.PANOPTIC_PNG_FEATURES:
        assert not built.image(feature).any()


def test_datasets_of_things_only_have_no_panoptic_masks(folder: Path) -> None:
    built = Built(folder, {"objects": [box(1, 0, 0, 2)]}, THINGS)
    for feature in (*schema.PANOPTIC_PNG_FEATURES, *schema.LABEL_PNG_FEATURES):
        assert feature.key not in built.example.features.feature


def test_255_things_fit_and_256_are_refused(folder: Path) -> None:
    Image.new("RGB", (300, 1)).save(folder / "a.png")
    pixels = np.eye(256, 300, dtype=np.uint8)[:, None]
    objects = [{"category_id": 1, "segmentation": mask} for mask in pixels]
    built = Built(folder, {"objects": objects[:255]}, PANOPTIC)
    found = built.image(schema.PANOPTIC_INSTANCE)[0]
    assert found.tolist() == [*range(1, 256), *(0,) * 45]
    with pytest.raises(AnnotationError, match=r"256 things are more than") as caught:
        Built(folder, {"objects": objects}, PANOPTIC)
    assert caught.value.reason == "too-many-things-for-png"


def test_panoptic_class_ids_beyond_8_bits_are_refused() -> None:
    large = dataclasses.replace(CAT, id=256)
    labels = LabelMap(object_classes=(large, STUFF[0]))
    with pytest.raises(OptionError, match=r"ids up to 256: expected at most 255"):
        png_masks.check_label_map(labels)
    png_masks.check_label_map(LabelMap(object_classes=(large,)))


def test_image_that_png_readers_refuse_is_refused_by_name() -> None:
    with pytest.raises(
        AnnotationError, match=r"an image of 1000001x1 pixels"
    ) as caught:
        png_masks.png_features([], None, (1_000_001, 1), THINGS)
    assert caught.value.reason == "too-large-for-png"


# --- whole builds --------------------------------------------------------------------


def test_build_with_png_masks_reads_as_one_without(
    tiny_source: Path,
    tiny_build: Path,
    tmp_path: Path,
    build_plainly: Callable[..., Manifest],
) -> None:
    manifest = build_plainly(tiny_source, tmp_path, num_shards=2, masks=("rle", "png"))
    assert tuple(manifest.options["masks"]) == ("rle", "png")
    plain = RecordSource(tiny_build, "train")
    for record, same in zip(RecordSource(tmp_path, "train"), plain, strict=True):
        assert record.key == same.key
        np.testing.assert_array_equal(record.label_map(), same.label_map())


def test_class_that_png_cannot_hold_ends_the_build_before_it_begins(
    tiny_source: Path,
    tmp_path: Path,
    build_plainly: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(label_map: LabelMap) -> None:
        raise OptionError(f"{len(label_map)} classes")

    monkeypatch.setattr("segdata.building.plan.check_label_map", refuse)
    build_plainly(tiny_source, tmp_path / "a")
    with pytest.raises(OptionError, match="12 classes"):
        build_plainly(tiny_source, tmp_path / "b", masks=("rle", "png"))
    assert not (tmp_path / "b").exists()


def test_tensorflow_decodes_them_as_model_garden_does(folder: Path) -> None:
    import tensorflow as tf

    built = Built(folder, {"objects": [box(1, 2, 3, 4), box(2, 0, 0, 9)]}, PANOPTIC)
    masks = schema.OBJECT_MASK.key
    maps = [f.key for f in (schema.LABEL_PNG, *schema.PANOPTIC_PNG_FEATURES)]
    parsed = tf.io.parse_single_example(
        serialize(built.example),
        {masks: tf.io.VarLenFeature(tf.string)}
        | {key: tf.io.FixedLenFeature((), tf.string, "") for key in maps},
    )
    for png, item in zip(parsed[masks].values, built.record.objects, strict=True):
        mask = tf.io.decode_png(png, channels=1, dtype=tf.uint8)[..., 0]
        np.testing.assert_array_equal(mask, built.record.mask(item))
    for key in maps:
        image = tf.io.decode_image(parsed[key], channels=1)
        expected = decode(feature_values(built.example, key)[0])
        np.testing.assert_array_equal(image[..., 0], expected)
