from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from segdata.building.example import dict_to_tf_example
from segdata.errors import AnnotationError, CorruptionError, ImageError
from segdata.label_map import LabelClass, LabelMap
from segdata.records import proto, schema
from segdata.records.parse import parse_record

HEIGHT, WIDTH = 12, 16
CAMVID = LabelMap(
    semantic_classes=tuple(
        LabelClass(id=n, name=f"c{n}", color=(n, n, n), source_ids=(n,))
        for n in range(12)
    )
)
COCO = {"person": 1, "chair": 2}
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SOURCE_LABELS = (np.arange(HEIGHT)[:, None] + np.arange(WIDTH) // 4) % 12


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(SOURCE_LABELS.astype(np.uint8)).save(tmp_path / "l.png")
    return tmp_path


def camvid_example(folder):
    label_image = {"path": "l.png", "encoding": "index"}
    data = {"key": "train/a", "image": "a.png", "label_image": label_image}
    return dict_to_tf_example(data, CAMVID, folder)


def coco_example(folder, *objects):
    data = {"image": "a.png", "image_id": 139, "objects": list(objects)}
    return dict_to_tf_example(data, COCO, folder)


MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[2:5, 3:9] = 1
THING = {"category": "person", "segmentation": MASK, "area": 20.5}
CROWD = {"category": "chair", "segmentation": 1 - MASK, "iscrowd": 1}
BOX_ONLY = {"category": "chair", "bbox": [-2, 3, 6, 6]}


def parse(example):
    return parse_record(proto.serialize(example), "shard 0, record 4")


def test_camvid_record_comes_back(folder):
    record = parse(camvid_example(folder))
    assert (record.key, record.filename) == ("train/a", "a.png")
    assert (record.height, record.width, record.format) == (HEIGHT, WIDTH, "png")
    assert record.encoded == (folder / "a.png").read_bytes()
    assert np.array_equal(record.image(), PIXELS)
    assert np.array_equal(record.label_map(), SOURCE_LABELS)
    assert record.label_map().dtype == np.uint8
    assert record.objects == ()
    assert len(record.sha256) == 64


def test_coco_record_comes_back(folder):
    record = parse(coco_example(folder, THING, CROWD, BOX_ONLY))
    assert record.source_id == "139"
    assert record.label_map() is None
    assert record.notes == ("box-clipped", "object-without-mask")
    thing, crowd, box_only = record.objects
    assert [item.name for item in record.objects] == ["person", "chair", "chair"]
    assert [item.label for item in record.objects] == [1, 2, 2]
    assert [item.is_crowd for item in record.objects] == [False, True, False]
    assert [item.area for item in record.objects] == [20.5, HEIGHT * WIDTH - 18, 24]
    assert thing.box == pytest.approx((2, 3, 5, 9), abs=1e-5)
    assert crowd.box == pytest.approx((0, 0, 12, 16), abs=1e-5)
    assert box_only.box == pytest.approx((3, 0, 9, 4), abs=1e-5)
    assert np.array_equal(record.mask(thing), MASK)
    assert np.array_equal(record.mask(crowd), 1 - MASK)
    assert record.mask(box_only) is None


def test_record_of_zero_objects_comes_back(folder):
    record = parse(coco_example(folder))
    assert record.objects == ()
    assert record.notes == ()


def test_record_of_box_only_objects_comes_back(folder):
    record = parse(coco_example(folder, BOX_ONLY, BOX_ONLY))
    assert [len(item.runs) for item in record.objects] == [0, 0]


def test_text_outside_ascii_comes_back(folder):
    data = {"image": "a.png", "key": "日本", "objects": [{**BOX_ONLY, "category": "é"}]}
    record = parse(dict_to_tf_example(data, {"é": 1}, folder))
    assert record.key == "日本"
    assert record.objects[0].name == "é"


# --- damage --------------------------------------------------------------------------

SINGLES = [
    feature
    for feature in schema.IMAGE_FEATURES
    if not feature.is_list and feature is not schema.OBJECT_COUNT
]


@pytest.mark.parametrize(
    "feature", [*SINGLES, schema.OBJECT_COUNT], ids=lambda feature: feature.key
)
def test_missing_key_is_a_corruption(folder, feature):
    example = camvid_example(folder)
    del example.features.feature[feature.key]
    message = f"shard 0, record 4 has 0 values of '{feature.key}': expected one"
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "not-our-record"


def test_two_values_of_one_key_are_a_corruption(folder):
    example = camvid_example(folder)
    example.features.feature[schema.HEIGHT.key].int64_list.value.append(1)
    with pytest.raises(CorruptionError, match="has 2 values of 'image/height'"):
        parse(example)


def test_foreign_example_is_no_record_of_ours():
    example = proto.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(b"x")
    with pytest.raises(CorruptionError, match="Was it written by segdata") as caught:
        parse(example)
    assert caught.value.reason == "not-our-record"


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x50", b"text"])
def test_bytes_that_are_no_example_are_a_corruption(data):
    message = "shard 1 is no tf.train.Example|shard 1 has 0 values"
    with pytest.raises(CorruptionError, match=message):
        parse_record(data, "shard 1")


def test_newer_schema_is_refused_with_the_remedy(folder):
    example = camvid_example(folder)
    version = example.features.feature[schema.SCHEMA.key].int64_list.value
    version[0] = schema.SCHEMA_VERSION + 1
    message = r"schema version 3: this segdata reads up to 2\. Upgrade segdata"
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "newer-version"


COLUMNS = [f for f in schema.OBJECT_FEATURES if f is not schema.OBJECT_RUNS]


@pytest.mark.parametrize("feature", COLUMNS, ids=lambda feature: feature.key)
def test_object_column_of_another_length_is_a_corruption(folder, feature):
    example = coco_example(folder, THING, CROWD)
    kept = example.features.feature[feature.key]
    getattr(kept, f"{feature.kind}_list").value.pop()
    message = f"has 2 objects but 1 values of '{feature.key}'"
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "object-count-mismatch"


def test_wrong_object_count_is_a_corruption(folder):
    example = coco_example(folder, THING)
    example.features.feature[schema.OBJECT_COUNT.key].int64_list.value[0] = 0
    with pytest.raises(CorruptionError, match="has 0 objects but 1 values of"):
        parse(example)


@pytest.mark.parametrize("change", ["pop", "append"])
def test_runs_that_do_not_add_up_are_a_corruption(folder, change):
    example = coco_example(folder, THING, CROWD)
    runs = example.features.feature[schema.OBJECT_RUNS.key].int64_list.value
    before = len(runs) // 2
    runs.pop() if change == "pop" else runs.append(3)
    message = f"has {len(runs)} mask runs: its objects have .{before}, {before}."
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "object-count-mismatch"


def test_numbers_of_runs_that_wrap_around_are_a_corruption(folder):
    example = coco_example(folder, THING, THING, THING)
    lengths = example.features.feature[schema.OBJECT_NUM_RUNS.key].int64_list.value
    lengths[0], lengths[1], lengths[2] = 2**63 - 1, 2**63 - 1, sum(lengths) + 2
    with pytest.raises(CorruptionError, match=r"its objects have \[922") as caught:
        parse(example)
    assert caught.value.reason == "object-count-mismatch"


def test_negative_number_of_runs_is_a_corruption(folder):
    example = coco_example(folder, THING, THING)
    lengths = example.features.feature[schema.OBJECT_NUM_RUNS.key].int64_list.value
    lengths[0], lengths[1] = -2, lengths[0] + lengths[1] + 2
    with pytest.raises(CorruptionError, match=r"its objects have \[-2, ") as caught:
        parse(example)
    assert caught.value.reason == "object-count-mismatch"


@pytest.mark.parametrize(
    ("feature", "kind", "value"),
    [(schema.KEY, "int64_list", 3), (schema.HEIGHT, "bytes_list", b"12")],
)
def test_value_of_another_kind_is_a_corruption(folder, feature, kind, value):
    example = camvid_example(folder)
    kept = example.features.feature[feature.key]
    kept.Clear()
    getattr(kept, kind).value.append(value)
    message = f"has {kind.removesuffix('_list')} values of '{feature.key}': expected "
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "not-our-record"


def test_name_that_is_no_utf8_comes_back_as_python_spells_it(folder):
    (folder / "a.png").rename(folder / os.fsdecode(b"\xff.png"))
    data = {"image": os.fsdecode(b"\xff.png")}
    record = parse(dict_to_tf_example(data, COCO, folder))
    assert record.filename == os.fsdecode(b"\xff.png")
    assert record.key == os.fsdecode(b"\xff")


def test_damaged_label_runs_are_found_when_decoded(folder):
    example = camvid_example(folder)
    example.features.feature[schema.LABEL_LENGTHS.key].int64_list.value[0] += 1
    record = parse(example)
    with pytest.raises(AnnotationError, match="sum to 193: expected 12x16 = 192"):
        record.label_map()


def test_damaged_mask_runs_are_found_when_decoded(folder):
    example = coco_example(folder, THING)
    example.features.feature[schema.OBJECT_RUNS.key].int64_list.value[0] += 1
    record = parse(example)
    with pytest.raises(AnnotationError, match="sum to 193"):
        record.mask(record.objects[0])


def test_damaged_image_is_found_when_decoded(folder):
    example = camvid_example(folder)
    encoded = example.features.feature[schema.ENCODED.key].bytes_list.value
    encoded[0] = encoded[0][:100]
    with pytest.raises(ImageError, match="image 'train/a' cannot be decoded"):
        parse(example).image()


def test_record_of_schema_1_is_still_read(folder):
    example = coco_example(folder, THING, BOX_ONLY)
    newest = parse(example)
    entries = example.features.feature
    entries[schema.SCHEMA.key].int64_list.value[0] = 1
    for new in (
        schema.SOURCE_IMAGE_ID,
        schema.SOURCE_FIELDS,
        schema.OBJECT_SOURCE,
    ):
        del entries[new.key]
    old = parse(example)
    assert (old.image_id, old.source) == ("", {})
    assert [item.source for item in old.objects] == [{}, {}]
    assert [item.box for item in old.objects] == [item.box for item in newest.objects]
    assert (old.regions, old.captions, old.image_class) == ((), (), None)


@pytest.mark.parametrize("text", [b"", b"5", b"{", b"\xff"])
def test_source_that_is_no_json_object_is_a_corruption(folder, text):
    example = coco_example(folder, THING)
    entry = example.features.feature[schema.OBJECT_SOURCE.key]
    entry.bytes_list.value[0] = text
    message = "under 'image/object/source': expected a JSON object"
    with pytest.raises(CorruptionError, match=message) as caught:
        parse(example)
    assert caught.value.reason == "not-our-record"


def test_keypoints_that_no_number_of_objects_shares_are_a_corruption(folder):
    example = coco_example(folder, THING, BOX_ONLY)
    for feature in (schema.KEYPOINT_X, schema.KEYPOINT_Y):
        example.features.feature[feature.key].float_list.value.extend([0.5] * 3)
    key = schema.KEYPOINT_VISIBILITY.key
    example.features.feature[key].int64_list.value.extend([2] * 3)
    with pytest.raises(CorruptionError, match="has 3 keypoints for 2 objects"):
        parse(example)
