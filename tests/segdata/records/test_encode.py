from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

from segdata import dict_to_tf_example as public_dict_to_tf_example
from segdata import identity
from segdata.building.example import dict_to_tf_example
from segdata.building.sources import read_files
from segdata.errors import AnnotationError, ImageError
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.masks.coco import compressed_rles
from segdata.records import proto, schema
from segdata.records.encode import encode_record
from segdata.records.to_example import to_example

HEIGHT, WIDTH = 12, 16
LABELS = LabelMap(
    object_classes=(
        LabelClass(id=1, name="person", color=(9, 9, 9), source_ids=(1,)),
        LabelClass(id=2, name="chair", color=(8, 8, 8), source_ids=(62, "n02791124")),
    ),
    semantic_classes=tuple(
        LabelClass(id=n, name=f"c{n}", color=(n, n, n), source_ids=(n,))
        for n in range(4, 8)
    ),
    unknown_id=7,
)
WITH_KEYPOINTS = dataclasses.replace(
    LABELS,
    object_classes=(
        dataclasses.replace(LABELS.object_classes[0], keypoints=("nose", "toe")),
        LABELS.object_classes[1],
    ),
)
PLAIN = {"cat": 1, "dog": 2}
SQUARE = [4, 3, 10, 3, 10, 7, 4, 7]  # rows 3 to 6, columns 4 to 9


def pixels(height=HEIGHT, width=WIDTH):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 9, y * 9, x + y], axis=-1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    labels = np.full((HEIGHT, WIDTH), 4, np.uint8)
    labels[6:] = 5
    Image.fromarray(labels).save(tmp_path / "l.png")
    return tmp_path


def values(example, feature):
    return list(proto.feature_values(example, feature.key))


def one(example, feature):
    (value,) = values(example, feature)
    return value


def with_objects(folder, *objects, label_map=LABELS, **data):
    data = {"image": "a.png", "objects": list(objects)} | data
    return dict_to_tf_example(data, label_map, folder)


def thing(**fields):
    return {"category": "person", "segmentation": [SQUARE]} | fields


def with_everything(**data):
    """An annotation dict of every kind of annotation."""
    return {
        "image": "a.png",
        "image_id": "no number",
        "image_class": 62,
        "objects": [thing(keypoints=[1, 2, 2, 0, 0, 0]), thing(area=2.5)],
        "regions": [{"name": "head", "bbox": [1, 2, 3, 4]}],
        "captions": ["a scene"],
        "absent_classes": [62],
        "source": {"license": 3},
    } | data


def notes(example):
    return [note.decode() for note in values(example, schema.NOTES)]


# --- the schema ----------------------------------------------------------------------


def assert_matches_schema(example, expected):
    found = example.features.feature
    assert set(found) == {feature.key for feature in expected}
    for feature in expected:
        assert found[feature.key].WhichOneof("kind") == f"{feature.kind}_list"
        if not feature.is_list:
            assert len(values(example, feature)) == 1


def test_all_features_have_different_keys():
    keys = [feature.key for feature in schema.ALL_FEATURES]
    assert len(set(keys)) == len(keys)


def example_of_everything(folder):
    label_image = {"path": "l.png", "encoding": "index"}
    person, chair = WITH_KEYPOINTS.object_classes
    stuff = dataclasses.replace(chair, is_thing=False)
    label_map = dataclasses.replace(WITH_KEYPOINTS, object_classes=(person, stuff))
    data = with_everything(label_image=label_image)
    return to_example(
        encode_record(data, read_files(data, folder), label_map),
        label_map,
        ("rle", "png"),
    )


def test_record_of_everything_has_exactly_the_keys_of_the_schema(folder):
    assert_matches_schema(example_of_everything(folder), schema.ALL_FEATURES)


def test_record_without_objects_still_has_every_object_key(folder):
    example = with_objects(folder)
    expected = schema.IMAGE_FEATURES + schema.OBJECT_FEATURES
    assert_matches_schema(example, expected)
    assert one(example, schema.OBJECT_COUNT) == 0
    assert values(example, schema.OBJECT_RUNS) == []


def test_record_of_a_dataset_without_object_classes_has_a_count_but_no_columns(folder):
    label_map = LabelMap(semantic_classes=LABELS.semantic_classes)
    data = {"image": "a.png", "label_image": {"path": "l.png", "encoding": "index"}}
    example = dict_to_tf_example(data, label_map, folder)
    expected = schema.IMAGE_FEATURES + schema.LABEL_MAP_FEATURES
    assert_matches_schema(example, expected)
    assert one(example, schema.OBJECT_COUNT) == 0


def test_image_features_hold_the_file_and_its_facts(folder):
    data = {"image": "a.png", "key": "ä/1", "image_id": 139, "split": "train"}
    example = dict_to_tf_example(data, PLAIN, folder)
    encoded = (folder / "a.png").read_bytes()
    assert one(example, schema.SCHEMA) == schema.SCHEMA_VERSION == 2
    assert one(example, schema.KEY) == "ä/1".encode()
    assert one(example, schema.ENCODED) == encoded
    assert one(example, schema.FORMAT) == b"png"
    assert one(example, schema.HEIGHT) == HEIGHT
    assert one(example, schema.WIDTH) == WIDTH
    assert one(example, schema.FILENAME) == b"a.png"
    assert one(example, schema.SOURCE_ID) == b"139"
    assert one(example, schema.SHA256) == hashlib.sha256(encoded).hexdigest().encode()
    assert notes(example) == []


def test_record_without_a_number_gets_one_below_2_to_the_24(folder):
    source_id = one(
        dict_to_tf_example({"image": "a.png"}, {}, folder), schema.SOURCE_ID
    )
    assert 0 <= int(source_id) < 2**24
    again = dict_to_tf_example({"image": "a.png"}, {}, folder)
    assert one(again, schema.SOURCE_ID) == source_id


@pytest.mark.parametrize("image_id", [0, 2**24])
def test_number_that_float32_holds_is_kept(folder, image_id):
    data = {"image": "a.png", "image_id": image_id}
    example = dict_to_tf_example(data, {}, folder)
    assert one(example, schema.SOURCE_ID) == str(image_id).encode()


@pytest.mark.parametrize("image_id", [-1, 2**24 + 1, 2**63 - 1])
def test_number_beyond_float32_is_replaced_by_that_of_the_key(folder, image_id):
    data = {"image": "a.png", "image_id": image_id}
    example = dict_to_tf_example(data, {}, folder)
    expected = str(identity.image_id("a")).encode()
    assert one(example, schema.SOURCE_ID) == expected


def test_key_is_the_path_without_suffix_where_none_is_given(folder):
    (folder / "sub dir").mkdir()
    (folder / "a.png").rename(folder / "sub dir" / "ü.png")
    example = dict_to_tf_example({"image": "sub dir/ü.png"}, {}, folder)
    assert one(example, schema.KEY) == "sub dir/ü".encode()
    assert one(example, schema.FILENAME) == "sub dir/ü.png".encode()


def test_real_tf_train_example_reads_the_record(folder):
    import tensorflow as tf

    ours = example_of_everything(folder)
    theirs = tf.train.Example.FromString(ours.SerializeToString())
    assert set(theirs.features.feature) == {f.key for f in schema.ALL_FEATURES}
    for feature in schema.ALL_FEATURES:
        kept = getattr(theirs.features.feature[feature.key], f"{feature.kind}_list")
        assert list(kept.value) == values(ours, feature)
    spec = {
        feature.key: tf.io.VarLenFeature(
            {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}[feature.kind]
        )
        for feature in schema.ALL_FEATURES
    }
    parsed = tf.io.parse_single_example(ours.SerializeToString(), spec)
    runs = parsed[schema.OBJECT_RUNS.key].values.numpy().tolist()
    assert runs == values(ours, schema.OBJECT_RUNS)


def test_public_name_is_this_function():
    assert public_dict_to_tf_example is dict_to_tf_example


def test_bytes_are_equal_in_every_process(folder):
    code = (
        "import sys\n"
        "from segdata.building.example import dict_to_tf_example\n"
        "from segdata.records.proto import serialize\n"
        f"data = {{'image': 'a.png', 'objects': [{thing(category='cat')!r}]}}\n"
        f"example = dict_to_tf_example(data, {PLAIN!r}, sys.argv[1])\n"
        "print(serialize(example).hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    example = with_objects(folder, thing(category="cat"), label_map=PLAIN)
    assert printed == {f"{proto.serialize(example).hex()}\n"}


# --- objects -------------------------------------------------------------------------


def square_mask():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:7, 4:10] = 1
    return mask


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        square_mask(),
        *compressed_rles([rle.rle(square_mask(), HEIGHT, WIDTH)], HEIGHT, WIDTH),
        {"size": [HEIGHT, WIDTH], "counts": [51, *[4, 8] * 5, 4, 77]},
    ],
    ids=["polygons", "flat-polygon", "dense", "compressed", "uncompressed"],
)
def test_object_from_every_flavour_of_mask(folder, segmentation):
    example = with_objects(folder, thing(segmentation=segmentation))
    runs = np.array(values(example, schema.OBJECT_RUNS))
    assert np.array_equal(rle.decode(runs, HEIGHT, WIDTH), square_mask())
    assert values(example, schema.OBJECT_NUM_RUNS) == [len(runs)]
    assert one(example, schema.OBJECT_COUNT) == 1
    assert values(example, schema.OBJECT_AREA) == [24.0]
    assert values(example, schema.OBJECT_YMIN) == [0.25]
    assert values(example, schema.OBJECT_XMIN) == [0.25]
    assert values(example, schema.OBJECT_YMAX) == [pytest.approx(7 / 12)]
    assert values(example, schema.OBJECT_XMAX) == [0.625]
    assert values(example, schema.OBJECT_LABEL) == [1]
    assert values(example, schema.OBJECT_TEXT) == [b"person"]
    assert values(example, schema.OBJECT_CATEGORY) == [-1]
    assert values(example, schema.OBJECT_ID) == [-1]
    assert values(example, schema.OBJECT_IS_CROWD) == [0]
    assert notes(example) == []


def test_fields_of_the_source_win_over_derived_ones(folder):
    item = {
        "id": 2**40,
        "category_id": 62,
        "iscrowd": 1,
        "area": 1035.5,
        "bbox": [1, 2, 4, 6],
        "segmentation": [SQUARE],
    }
    example = with_objects(folder, item)
    assert values(example, schema.OBJECT_ID) == [2**40]
    assert values(example, schema.OBJECT_LABEL) == [2]
    assert values(example, schema.OBJECT_TEXT) == [b"chair"]
    assert values(example, schema.OBJECT_CATEGORY) == [62]
    assert values(example, schema.OBJECT_IS_CROWD) == [1]
    assert values(example, schema.OBJECT_AREA) == [1035.5]
    assert values(example, schema.OBJECT_XMIN) == [1 / 16]
    assert values(example, schema.OBJECT_YMIN) == [pytest.approx(2 / 12)]
    assert values(example, schema.OBJECT_XMAX) == [5 / 16]
    assert values(example, schema.OBJECT_YMAX) == [pytest.approx(8 / 12)]


def test_category_of_the_source_that_is_no_number_is_stored_as_minus_1(folder):
    item = thing(category_id="n02791124")
    del item["category"]
    example = with_objects(folder, item)
    assert values(example, schema.OBJECT_LABEL) == [2]
    assert values(example, schema.OBJECT_CATEGORY) == [-1]


def test_plain_dict_ids_are_also_the_source_ids(folder):
    objects = [{"category_id": 2, "bbox": [0, 0, 1, 1]}, thing(category="cat")]
    example = with_objects(folder, *objects, label_map=PLAIN)
    assert values(example, schema.OBJECT_LABEL) == [2, 1]
    assert values(example, schema.OBJECT_TEXT) == [b"dog", b"cat"]


@pytest.mark.parametrize("segmentation", [None, [], {}])
def test_object_of_a_box_alone_has_no_runs_and_a_note(folder, segmentation):
    box_only = thing(segmentation=segmentation, bbox=[0, 0, 8, 6])
    example = with_objects(folder, thing(), box_only, thing())
    lengths = values(example, schema.OBJECT_NUM_RUNS)
    assert lengths[1] == 0
    assert lengths[0] == lengths[2] > 0
    assert sum(lengths) == len(values(example, schema.OBJECT_RUNS))
    assert values(example, schema.OBJECT_XMAX)[1] == 0.5
    assert notes(example) == ["object-without-mask"]


def test_area_of_an_object_of_a_box_alone_is_that_of_its_clipped_box(folder):
    objects = [
        {"category": "person", "bbox": [-2, 3, 6, 6]},
        {"category": "person", "bbox": [1, 2, 2.5, 3], "area": 5},
    ]
    example = with_objects(folder, *objects)
    assert values(example, schema.OBJECT_AREA) == [24.0, 5.0]


def test_empty_mask_is_kept_with_a_box_of_zeros_and_a_note(folder):
    example = with_objects(folder, thing(segmentation=np.zeros((HEIGHT, WIDTH))))
    assert values(example, schema.OBJECT_RUNS) == [HEIGHT * WIDTH, 0]
    assert values(example, schema.OBJECT_YMAX) == [0.0]
    assert values(example, schema.OBJECT_AREA) == [0.0]
    assert notes(example) == ["object-mask-empty"]


@pytest.mark.parametrize(
    ("bbox", "inside"),
    [
        ([-4, -3, 8, 6], (0, 0, 0.25, 0.25)),
        ([12, 9, 100, 100], (0.75, 0.75, 1, 1)),
        ([0, 0, 16.01, 12], (0, 0, 1, 1)),
        ([100, 100, 5, 5], (1, 1, 1, 1)),
    ],
)
def test_box_over_the_border_is_clipped_and_noted(folder, bbox, inside):
    example = with_objects(folder, thing(bbox=bbox))
    assert notes(example) == ["box-clipped"]
    columns = ("YMIN", "XMIN", "YMAX", "XMAX")
    stored = [one(example, getattr(schema, f"OBJECT_{c}")) for c in columns]
    assert tuple(stored) == inside


def test_box_along_the_border_is_not_clipped(folder):
    example = with_objects(folder, thing(bbox=[0, 0, WIDTH, HEIGHT]))
    assert notes(example) == []
    assert values(example, schema.OBJECT_YMAX) == [1.0]


NAN = float("nan")


@pytest.mark.parametrize(
    ("item", "reason", "message"),
    [
        (thing(id=7, category="dragon"), "unknown-object-class", "annotation 7 is of"),
        (thing(category="dragon"), "unknown-object-class", "known are chair, person"),
        ({"category_id": 3}, "unknown-object-class", "known are 1, 62, n02791124"),
        ({"segmentation": [SQUARE]}, "object-without-class", "expected 'category_id'"),
        (
            {"id": 5, "category": "person"},
            "object-without-geometry",
            "annotation 5 has",
        ),
        (thing(id=9, segmentation=[[1, 2]]), "bad-polygon", "annotation 9: polygon"),
        (thing(segmentation=[[1, 2]]), "bad-polygon", "an annotation without id: p"),
        (
            thing(segmentation=np.array(1)),
            "mask-size-mismatch",
            "expected 12x16, got a single number",
        ),
        (
            thing(segmentation=np.full((HEIGHT, WIDTH), "cat")),
            "bad-segmentation",
            "dense mask is of <U3: expected bool or numbers",
        ),
        (
            thing(segmentation={"size": [WIDTH, HEIGHT], "counts": [192]}),
            "mask-size-mismatch",
            r"expected size \[12, 16\], got \[16, 12\]",
        ),
        (
            thing(segmentation={"size": [HEIGHT, WIDTH], "counts": [191]}),
            "bad-rle",
            "sum to 191",
        ),
        (thing(bbox=[1, 2, 3]), "bad-box", r"has the box \[1, 2, 3\]"),
        (thing(bbox=[1, 2, -3, 4]), "bad-box", "the last two at least 0"),
        (thing(bbox=[NAN, 2, 3, 4]), "bad-box", "expected finite numbers"),
        (thing(bbox=[1, 2, float("inf"), 4]), "bad-box", "expected finite numbers"),
        (thing(bbox=["x", 2, 3, 4]), "bad-box", "expected finite numbers"),
        (thing(bbox=[10**400, 2, 3, 4]), "bad-box", "expected finite numbers"),
        (thing(bbox=[]), "bad-box", r"has the box \[\]"),
    ],
)
def test_bad_object_is_refused_with_its_id_and_image(folder, item, reason, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        with_objects(folder, thing(), item)
    assert caught.value.reason == reason
    assert str(caught.value).endswith("(image 'a.png')")


@pytest.mark.parametrize(
    "item",
    [
        5,
        thing(segmentation=5),
        {"category_id": [1], "bbox": [0, 0, 1, 1]},
        thing(id=1.5),
        thing(id=None),
        thing(id=2**63),
        thing(iscrowd="x"),
        thing(iscrowd=None),
        thing(area="x"),
        thing(area=10**400),
        thing(bbox=[10**400, 0, 1, 1]),
        thing(segmentation=[[10**400, 0, 1, 1, 2, 2]]),
    ],
    ids=[
        "object",
        "segmentation",
        "category_id",
        "id-float",
        "id-none",
        "id-too-large",
        "iscrowd-text",
        "iscrowd-none",
        "area",
        "area-too-large",
        "bbox-too-large",
        "polygon-too-large",
    ],
)
def test_field_of_a_wrong_type_is_refused_as_an_annotation(folder, item):
    with pytest.raises(AnnotationError, match=r"'a\.png'"):
        with_objects(folder, item)


def test_text_id_of_an_object_becomes_minus_one(folder):
    item = {"id": "f3a9", "category": "person", "bbox": [0, 0, 1, 1]}
    record = with_objects(folder, item)
    assert values(record, schema.OBJECT_ID) == [-1]


def test_category_id_may_be_a_numpy_integer(folder):
    item = {"category_id": np.int64(62), "bbox": [0, 0, 1, 1]}
    assert values(with_objects(folder, item), schema.OBJECT_CATEGORY) == [62]


# --- label maps ----------------------------------------------------------------------


def labelled(folder, image="a.png", label="l.png", **data):
    data |= {"image": image, "label_image": {"path": label, "encoding": "index"}}
    return dict_to_tf_example(data, LABELS, folder)


def test_label_map_is_stored_as_values_and_lengths(folder):
    example = labelled(folder)
    assert one(example, schema.LABEL_VALUES) == b"\x04\x05"
    assert values(example, schema.LABEL_LENGTHS) == [96, 96]
    assert one(example, schema.VOIDED_PIXELS) == 0
    assert notes(example) == []


def test_voided_pixels_are_counted_and_noted(folder):
    labels = np.full((HEIGHT, WIDTH), 4, np.uint8)
    labels[0, :5] = 99
    Image.fromarray(labels).save(folder / "l.png")
    example = labelled(folder)
    assert one(example, schema.VOIDED_PIXELS) == 5
    assert one(example, schema.LABEL_VALUES) == b"\x07\x04"
    assert notes(example) == ["unknown-labels-voided"]


def test_noisy_label_map_is_noted(folder):
    noise = np.random.default_rng(0).integers(4, 8, (HEIGHT, WIDTH)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "l.png")
    assert notes(labelled(folder)) == ["noisy-label-map"]


def test_label_image_of_another_size_is_refused(folder):
    Image.fromarray(np.full((WIDTH, HEIGHT), 4, np.uint8)).save(folder / "l.png")
    message = r"'l\.png' does not fit its image 'a\.png': expected 12x16, got 16x12"
    with pytest.raises(AnnotationError, match=message) as caught:
        labelled(folder)
    assert caught.value.reason == "label-size-mismatch"


# --- sizes and rotation --------------------------------------------------------------


@pytest.mark.parametrize("size", [{"height": 13}, {"width": 12}])
def test_image_of_another_size_than_its_annotation_is_refused(folder, size):
    with pytest.raises(
        AnnotationError, match=r"expected .*, got 12x16 \(hei"
    ) as caught:
        dict_to_tf_example({"image": "a.png"} | size, PLAIN, folder)
    assert caught.value.reason == "image-size-mismatch"


@pytest.fixture
def rotated(folder):
    """`r.jpg`: 12x16 pixels stored, to be shown as 16x12."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    Image.fromarray(pixels()).save(folder / "r.jpg", exif=tags)
    return folder


def test_rotated_image_annotated_upright_is_rotated(rotated):
    data = {"image": "r.jpg", "height": WIDTH, "width": HEIGHT}
    example = dict_to_tf_example(data, PLAIN, rotated)
    assert notes(example) == ["exif-rotated"]
    assert (one(example, schema.HEIGHT), one(example, schema.WIDTH)) == (16, 12)
    stored = Image.open(io.BytesIO(one(example, schema.ENCODED)))
    assert stored.size == (HEIGHT, WIDTH)
    assert one(example, schema.ENCODED) != (rotated / "r.jpg").read_bytes()


def test_rotated_image_annotated_as_stored_passes_through(rotated):
    data = {"image": "r.jpg", "height": HEIGHT, "width": WIDTH}
    example = dict_to_tf_example(data, PLAIN, rotated)
    assert notes(example) == ["exif-rotation-ignored"]
    assert (one(example, schema.HEIGHT), one(example, schema.WIDTH)) == (12, 16)
    assert one(example, schema.ENCODED) == (rotated / "r.jpg").read_bytes()


def test_label_image_tells_whether_to_rotate(rotated):
    assert notes(labelled(rotated, "r.jpg")) == ["exif-rotation-ignored"]
    Image.fromarray(np.full((WIDTH, HEIGHT), 4, np.uint8)).save(rotated / "l.png")
    assert notes(labelled(rotated, "r.jpg")) == ["exif-rotated"]


def test_rotated_image_without_annotated_size_is_rotated(rotated):
    example = dict_to_tf_example({"image": "r.jpg"}, PLAIN, rotated)
    assert one(example, schema.HEIGHT) == WIDTH


def test_wrong_extension_is_noted(folder):
    (folder / "a.png").rename(folder / "a.jpg")
    example = dict_to_tf_example({"image": "a.jpg"}, PLAIN, folder)
    assert one(example, schema.FORMAT) == b"png"
    assert notes(example) == ["extension-corrected"]


# --- paths ---------------------------------------------------------------------------

UNSAFE = [
    "../a.png",
    "/etc/passwd",
    "sub/../../a.png",
    "C:\\a.png",
    "sub\\a.png",
    "c:a",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_path_that_may_leave_the_folder_is_refused(folder, path):
    for call in (
        lambda: dict_to_tf_example({"image": path}, PLAIN, folder),
        lambda: labelled(folder, label=path),
    ):
        with pytest.raises(AnnotationError, match="may leave the image fold") as caught:
            call()
        assert caught.value.reason == "unsafe-path"


def test_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "b.png"
    (folder / "a.png").rename(outside)
    (folder / "a.png").symlink_to(outside)
    with pytest.raises(AnnotationError, match="link that leads out") as caught:
        dict_to_tf_example({"image": "a.png"}, PLAIN, folder)
    assert caught.value.reason == "unsafe-path"


def test_missing_files_have_their_own_reasons(folder):
    with pytest.raises(ImageError, match=r"image 'x\.png' is missing") as caught:
        dict_to_tf_example({"image": "x.png"}, PLAIN, folder)
    assert caught.value.reason == "image-missing"
    with pytest.raises(ImageError, match=r"label image 'x\.png' is miss") as caught:
        labelled(folder, label="x.png")
    assert caught.value.reason == "label-image-missing"


def test_record_is_made_of_bytes_in_hand(folder):
    item = {"path": "l.png", "encoding": "index"}
    data = {"image": "a.png", "label_image": item}
    found = {name: (folder / name).read_bytes() for name in ("a.png", "l.png")}
    by_hand = to_example(encode_record(data, found, LABELS), LABELS)
    assert by_hand == dict_to_tf_example(data, LABELS, folder)
    with pytest.raises(ImageError, match=r"label image 'l.png' was not handed over"):
        encode_record(data, {"a.png": found["a.png"]}, LABELS)


def test_empty_file_is_refused(folder):
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"'a\.png' is empty.*0 bytes") as caught:
        dict_to_tf_example({"image": "a.png"}, PLAIN, folder)
    assert caught.value.reason == "image-undecodable"


def test_malformed_annotation_is_refused_before_any_file_is_read(folder):
    with pytest.raises(AnnotationError, match=r"unknown keys \['file'\]"):
        dict_to_tf_example({"image": "gone.png", "file": "x"}, PLAIN, folder)


def test_file_name_that_is_no_utf8_is_stored_byte_by_byte(folder):
    name = os.fsdecode(b"\xff.png")
    (folder / "a.png").rename(folder / name)
    example = dict_to_tf_example({"image": name}, PLAIN, folder)
    assert one(example, schema.FILENAME) == b"\xff.png"
    assert one(example, schema.KEY) == b"\xff"


def test_path_that_is_no_text_of_a_file_system_is_refused(folder):
    with pytest.raises(AnnotationError, match="cannot be written as UTF-8"):
        dict_to_tf_example({"image": "\ud800.png"}, PLAIN, folder)
    with pytest.raises(AnnotationError, match="is no file name") as caught:
        labelled(folder, label="\ud800.png")
    assert caught.value.reason == "unsafe-path"


# --- what the builder counts ---------------------------------------------------------


def test_encoded_record_tells_what_to_count(folder):
    data = {
        "image": "a.png",
        "label_image": {"path": "l.png", "encoding": "index"},
        "objects": [thing(bbox=[-1, 0, 2, 2]), thing(segmentation=None, bbox=[0] * 4)],
    }
    record = encode_record(data, read_files(data, folder), LABELS)
    assert record.key == "a"
    assert (record.image.height, record.image.width) == (HEIGHT, WIDTH)
    example = to_example(record, LABELS)
    assert record.sha256.encode() == one(example, schema.SHA256)
    assert record.label_runs.lengths.tolist() == [96, 96]
    assert [item.label.name for item in record.objects] == ["person", "person"]
    assert [item.area for item in record.objects] == [24.0, 0.0]
    assert record.notes == ("box-clipped", "object-without-mask")
    assert notes(example) == list(record.notes)
