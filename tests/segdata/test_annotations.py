from __future__ import annotations

import typing

import pytest

from segdata.annotations import Annotation, record_key, validate_annotation
from segdata.errors import AnnotationError


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
    with pytest.raises(AnnotationError, match=r"\['segments'\].*known are \['height'"):
        validate_annotation({"image": "a.png", "segments": []})


@pytest.mark.parametrize("data", [{}, {"image": ""}, {"image": None}, {"key": "a"}])
def test_annotation_without_an_image_is_refused(data):
    with pytest.raises(AnnotationError, match="names no image") as caught:
        validate_annotation(data)
    assert caught.value.reason == "bad-annotation"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", 5, "is a int: expected str"),
        ("image", b"a.png", "is a bytes: expected str"),
        ("key", 5, "is a int: expected str"),
        ("split", None, "is a NoneType: expected str"),
        ("image_id", "5", "is a str: expected int"),
        ("image_id", True, "is a bool: expected int"),
        ("height", 1.0, "is a float: expected int"),
        ("width", "1", "is a str: expected int"),
        ("objects", {}, "is a dict: expected list"),
        ("objects", "ab", "is a str: expected list"),
        ("label_image", "l.png", "is a str: expected Mapping"),
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
    ],
)
def test_bad_label_image_is_refused(label_image):
    with pytest.raises(AnnotationError, match=r"expected \{'path': str") as caught:
        validate_annotation({"image": "a.png", "label_image": label_image})
    assert caught.value.reason == "bad-annotation"


@pytest.mark.xfail(strict=True, reason="the objects are not looked at")
@pytest.mark.parametrize("item", [5, None, "cat", ["cat"]])
def test_object_that_is_no_dict_is_refused(item):
    with pytest.raises(AnnotationError, match=r"'a\.png'"):
        validate_annotation({"image": "a.png", "objects": [item]})
