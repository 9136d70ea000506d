from __future__ import annotations

import typing

import numpy as np
import pytest

from segdata.annotations import Annotation, ObjectAnnotation, record_key
from segdata.errors import AnnotationError
from segdata.validation import validate_annotation
from segdata.validation import validate_object as library_validate_object


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"image": "train/a.png"}, "train/a"),
        ({"image": "a.b.jpg"}, "a.b"),
        ({"image": "folder.d/name"}, "folder.d/name"),
        ({"image": ".hidden"}, ".hidden"),
        ({"image": "a.png", "key": None}, "a"),
        ({"image": "a.png", "key": "own/key.png"}, "own/key.png"),
        ({"image": "äö ü.png"}, "äö ü"),
    ],
)
def test_record_key_is_the_given_one_or_the_path_without_suffix(data, key):
    assert record_key(data) == key


@pytest.mark.parametrize(
    "data",
    [
        {"image": "a.png"},
        {"image": "a.png", "objects": []},
        {"image": "a.png", "objects": ({"category": "cat"},)},
        {
            "image": "a.png",
            "key": "k",
            "split": "train",
            "image_id": 0,
            "height": 1,
            "width": 1,
            "label_image": {"path": "l.png", "encoding": "color"},
            "objects": [{}],
        },
    ],
)
def test_well_formed_annotation_passes(data):
    before = repr(data)
    validate_annotation(data)
    assert repr(data) == before


def test_every_documented_key_is_known_and_no_other():
    for key in Annotation.__annotations__:
        # A value of no type at all is refused by type, not as an unknown key.
        with pytest.raises(AnnotationError, match=f"key '{key}' of image|no image"):
            validate_annotation({"image": "a.png"} | {key: None})
    assert set(typing.get_type_hints(Annotation)) >= {"image", "objects"}


def test_unknown_key_is_refused_with_the_known_ones():
    message = r"image 'a\.png' has unknown keys \['segments'\]: known are \['absent"
    with pytest.raises(AnnotationError, match=message) as caught:
        validate_annotation({"image": "a.png", "segments": []})
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize("data", [{}, {"image": ""}, {"image": None}, {"key": "a"}])
def test_annotation_without_an_image_is_refused(data):
    with pytest.raises(AnnotationError, match="names no image") as caught:
        validate_annotation(data)
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", 5, "is a int: expected text, got 5"),
        ("image", np.array(["a", "b"]), "is a ndarray: expected text"),
        ("image", b"a.png", "is a bytes: expected text, got b'a"),
        ("key", 5, "of image 'a.png' is a int: expected text, got 5"),
        ("split", None, "is a NoneType: expected text, got None"),
        ("image_id", 5.0, "is a float: expected an integer or text, got 5.0"),
        ("image_id", True, "is a bool: expected an integer or text, got True"),
        ("height", 1.0, "is a float: expected an integer, got 1.0"),
        ("width", "1", "is a str: expected an integer, got '1'"),
        ("objects", {}, "is a dict: expected a list, got {}"),
        ("objects", "ab", "is a str: expected a list, got 'ab'"),
        ("label_image", "l.png", "is a str: expected a dict, got 'l"),
    ],
)
def test_value_of_a_wrong_type_is_refused(key, value, message):
    with pytest.raises(AnnotationError, match=f"key '{key}' .*{message}") as caught:
        validate_annotation({"image": "a.png"} | {key: value})
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize(
    "label_image",
    [
        {},
        {"path": "l.png"},
        {"encoding": "index"},
        {"path": None, "encoding": "index"},
        {"path": "l.png", "encoding": "colour"},
        {"path": "l.png", "encoding": ["index"]},
        {"path": "l.png", "encoding": np.array(["index", "color"])},
    ],
)
def test_bad_label_image_is_refused(label_image):
    with pytest.raises(AnnotationError, match=r"expected \{'path': str") as caught:
        validate_annotation({"image": "a.png", "label_image": label_image})
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", 0),
        ("height", -1),
        ("height", 2**31),
        ("width", 0),
        ("width", 2**31),
        ("image_id", 2**63),
        ("image_id", -(2**63) - 1),
    ],
)
def test_number_out_of_range_is_refused(key, value):
    message = f"key '{key}' of image 'a.png' is {value}: expected -?[0-9]+ to [0-9]+"
    with pytest.raises(AnnotationError, match=message) as caught:
        validate_annotation({"image": "a.png"} | {key: value})
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize(
    ("key", "value"),
    [("height", 1), ("height", 2**31 - 1), ("image_id", -1), ("image_id", 2**63 - 1)],
)
def test_number_at_the_edge_of_its_range_passes(key, value):
    validate_annotation({"image": "a.png"} | {key: value})


@pytest.mark.parametrize("name", ["image", "key"])
def test_text_that_cannot_be_written_is_refused(name):
    with pytest.raises(AnnotationError, match=f"key '{name}' .*UTF-8") as caught:
        validate_annotation({"image": "a.png"} | {name: "\ud800.png"})
    assert caught.value.reason == "bad-annotation"


# --- objects -------------------------------------------------------------------------


def validate_object(item):
    library_validate_object(item, "object 1 of image 'a.png'")


@pytest.mark.parametrize("item", [5, None, "cat", ["cat"]])
def test_object_that_is_no_dict_is_refused(item):
    message = f"object 1 of image 'a.png' is a {type(item).__name__}: expected a dict"
    with pytest.raises(AnnotationError, match=message) as caught:
        validate_object(item)
    assert caught.value.reason == "bad-annotation"


def test_every_documented_object_key_is_known_and_no_other():
    for key in ObjectAnnotation.__annotations__:
        with pytest.raises(AnnotationError, match=f"key '{key}' of object 1 of image"):
            validate_object({key: object()})
    with pytest.raises(AnnotationError, match=r"object 1 .* unknown keys \['mask'\]"):
        validate_object({"mask": []})


@pytest.mark.parametrize(
    "item",
    [
        {"segmentation": None, "bbox": None, "area": None},
        {"segmentation": [], "bbox": (0, 0, 1, 1), "area": 0},
        {"segmentation": {}, "bbox": np.zeros(4), "area": np.float32(2.5)},
        {"segmentation": np.zeros((2, 2)), "iscrowd": True, "id": np.int64(5)},
        {"category_id": np.int64(5)},
        {"category_id": "n02791124"},
    ],
)
def test_well_formed_object_passes(item):
    validate_object(item)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", 1.5, "is a float: expected an integer or text, got 1.5"),
        ("id", None, "is a NoneType: expected an integer or text, got None"),
        ("id", 2**63, "is 9223372036854775808: expected -9223372036854775808 to"),
        ("category_id", 2**63, "is 9223372036854775808: expected -92233720368547758"),
        ("category_id", [1], "is a list: expected an integer or text"),
        ("category_id", True, "is a bool: expected an integer or text"),
        ("category", None, "is a NoneType: expected text, got None"),
        ("segmentation", "abc", "is a str: expected polygons, a COCO RLE, a dense"),
        ("bbox", 5, "is a int: expected a list of four numbers, got 5"),
        ("area", "x", "is a str: expected a number, got 'x'"),
        ("area", -1, "is -1: expected 0 to"),
        ("area", float("nan"), "is nan: expected 0 to"),
        ("area", float("inf"), "is inf: expected 0 to"),
        ("area", 10**400, r"is 1000+\.\.\.: expected 0 to"),
        ("area", 1e39, r"is 1e\+39: expected 0 to"),  # beyond float32
        ("iscrowd", "x", "is a str: expected 0 or 1, got 'x'"),
        ("iscrowd", None, "is a NoneType: expected 0 or 1, got None"),
        ("iscrowd", 2, "is 2: expected 0 to 1"),
    ],
)
def test_bad_field_of_an_object_is_refused(key, value, message):
    match = f"key '{key}' of object 1 of image 'a.png' {message}"
    with pytest.raises(AnnotationError, match=match) as caught:
        validate_object({key: value})
    assert caught.value.reason == "bad-annotation"
