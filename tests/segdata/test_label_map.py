from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata import label_map
from segdata.errors import OptionError, printable
from segdata.label_map import LabelClass, LabelMap, distinct_colors, rgb

RED, BLUE = (255, 0, 0), (0, 0, 255)

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(printable)
colors = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def tables(draw, lowest):
    """Classes with unique ids, names and source values."""
    ids = draw(st.lists(st.integers(lowest, 255), unique=True, max_size=5))
    return tuple(
        LabelClass(
            id=class_id,
            # One name per id, so that two tables cannot contradict each other.
            name=f"{class_id} {draw(names)}" if lowest == 0 else f"o{class_id}",
            color=draw(colors),
            source_ids=(class_id + 1000, f"s{class_id}"),
            source_colors=((class_id, 0, 0), (class_id, 1, 0)),
            source_names=tuple(draw(st.lists(names, max_size=2))),
            supercategory=draw(names),
        )
        for class_id in ids
    )


label_maps = st.builds(
    LabelMap,
    object_classes=tables(1),
    semantic_classes=tables(0),
    ignore_id=st.none() | st.integers(0, 255),
    unknown_id=st.none() | st.integers(0, 255),
)


def label_class(class_id, name, **fields):
    return LabelClass(id=class_id, name=name, color=RED, **fields)


def test_label_map_is_a_mapping_from_name_to_id():
    label_map = LabelMap(
        object_classes=(label_class(1, "car"), label_class(2, "cat")),
        semantic_classes=(label_class(0, "sky"), label_class(1, "car")),
    )
    assert dict(label_map) == {"sky": 0, "car": 1, "cat": 2}
    assert len(label_map) == 3
    assert label_map["cat"] == 2
    assert "dog" not in label_map
    with pytest.raises(KeyError, match="dog"):
        label_map["dog"]


def test_plain_dict_gives_objects_from_1_and_pixels_from_0_to_255():
    label_map = LabelMap.from_dict({"background": 0, "cat": 1, "far": 300})
    assert [c.name for c in label_map.object_classes] == ["cat", "far"]
    assert [c.name for c in label_map.semantic_classes] == ["background", "cat"]
    assert label_map.object_by_source_id[300].name == "far"
    assert label_map.semantic_by_source_id == {0: 0, 1: 1}
    assert (label_map.ignore_id, label_map.unknown_id) == (None, None)


def test_from_dict_returns_a_label_map_as_it_is():
    label_map = LabelMap(object_classes=(label_class(1, "car"),))
    assert LabelMap.from_dict(label_map) is label_map


def test_plain_dict_with_one_id_for_two_names_is_refused():
    with pytest.raises(OptionError, match="'a' and 'b' share the id 3"):
        LabelMap.from_dict({"a": 3, "b": 3})


def test_plain_dict_with_a_negative_id_is_refused():
    with pytest.raises(OptionError, match="class 'a' has id -1: expected at least 0"):
        LabelMap.from_dict({"a": -1, "b": 3})


@given(label_maps)
@settings(max_examples=60, deadline=None)
def test_json_round_trip(label_map):
    stored = json.loads(json.dumps(label_map.to_json()))
    assert LabelMap.from_json(stored) == label_map


@given(label_maps)
@settings(max_examples=30, deadline=None)
def test_label_map_survives_pickling_with_filled_caches(label_map):
    before = label_map.semantic_by_source_id
    copy = pickle.loads(pickle.dumps(label_map))
    assert copy == label_map
    assert copy.semantic_by_source_id == before
    assert dict(copy) == dict(label_map)


def test_source_ids_and_colors_lead_to_the_class():
    road = label_class(3, "road", source_ids=(7, "seven"), source_colors=(RED, BLUE))
    label_map = LabelMap(semantic_classes=(road,), object_classes=(road,))
    assert label_map.semantic_by_source_id == {7: 3, "seven": 3}
    assert label_map.semantic_by_source_color == {RED: 3, BLUE: 3}
    assert label_map.object_by_source_id == {7: road, "seven": road}
    assert label_map.object_by_name == {"road": road}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"object_classes": [(0, "a")]}, "object class 'a' has id 0: expected 1 to"),
        ({"object_classes": [(2**31, "a")]}, "has id 2147483648: expected 1 to"),
        ({"semantic_classes": [(256, "a")]}, "has id 256: expected 0 to 255"),
        ({"semantic_classes": [(-1, "a")]}, "has id -1: expected 0 to 255"),
        ({"object_classes": [(1, "a"), (1, "b")]}, "'a' and 'b' share the id 1"),
        ({"object_classes": [(1, "a"), (2, "a")]}, "class names appear twice: a"),
        (
            {"object_classes": [(1, "a")], "semantic_classes": [(2, "a")]},
            "class 'a' has two ids: 2 for pixels and 1 for objects",
        ),
    ],
)
def test_contradicting_classes_are_refused(tables, message):
    classes = {
        table: tuple(label_class(*item) for item in items)
        for table, items in tables.items()
    }
    with pytest.raises(OptionError, match=message) as caught:
        LabelMap(**classes)
    assert caught.value.reason == "bad-option"


@pytest.mark.parametrize(
    "shared", [{"source_ids": (4,)}, {"source_colors": (RED,)}], ids=["id", "color"]
)
def test_two_classes_may_not_share_a_source_value(shared):
    classes = (label_class(1, "a", **shared), label_class(2, "b", **shared))
    with pytest.raises(OptionError, match="'a' and 'b' share the source value"):
        LabelMap(semantic_classes=classes)


@pytest.mark.parametrize("fields", [{"unknown_id": 256}, {"ignore_id": -1}])
def test_ignore_and_unknown_id_must_fit_into_a_byte(fields):
    ((name, value),) = fields.items()
    message = f"{name} is {value}: expected 0 to 255, or None"
    with pytest.raises(OptionError, match=message):
        LabelMap(semantic_classes=(label_class(1, "a"),), **fields)


# --- label_map.pbtxt -----------------------------------------------------------------


def parse_pbtxt(text):
    """Parses `StringIntLabelMap` of the Object Detection API, or so much of it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="map.proto", package="test")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=field.TYPE_STRING, label=1)
    item.field.add(name="id", number=2, type=field.TYPE_INT32, label=1)
    file.message_type.add(name="Map").field.add(
        name="item",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".test.Item",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Map"))
    return [(i.id, i.name) for i in text_format.Parse(text, kind()).item]


def test_pbtxt_lists_object_classes():
    text = LabelMap.from_dict({"background": 0, "cat": 1}).to_pbtxt()
    assert text == 'item {\n  id: 1\n  name: "cat"\n}\n'


def test_pbtxt_lists_semantic_classes_where_there_are_no_others_without_class_0():
    classes = (label_class(0, "sky"), label_class(1, "road"))
    assert parse_pbtxt(LabelMap(semantic_classes=classes).to_pbtxt()) == [(1, "road")]


@pytest.mark.parametrize("name", ["a b", "café", "日本", "q\"u\\o'te", ""])
def test_pbtxt_is_read_by_protobuf_whatever_the_name(name):
    text = LabelMap.from_dict({name: 5}).to_pbtxt()
    assert parse_pbtxt(text) == [(5, name)]


def test_pbtxt_is_read_by_protobuf_with_a_name_beyond_the_basic_plane():
    assert parse_pbtxt(LabelMap.from_dict({"😀": 5}).to_pbtxt()) == [(5, "😀")]


# --- colours -------------------------------------------------------------------------


def test_distinct_colors_are_distinct_bytes():
    palette = distinct_colors(1000)
    assert len(set(distinct_colors(256))) == 256
    assert len(set(palette)) > 900
    assert all(0 <= channel <= 255 for color in palette for channel in color)


@pytest.mark.parametrize(("count", "apart"), [(22, 35), (80, 18), (150, 14), (255, 9)])
def test_no_two_classes_look_alike(count, apart):
    # CIELAB's distance: below 10 or so colours are hard to tell apart side by side.
    found = label_map._cielab(np.array(distinct_colors(count)))
    offsets = np.linalg.norm(found[:, None] - found, axis=2)
    assert offsets[~np.eye(count, dtype=bool)].min() > apart


def test_lightness_of_white_gray_and_black_is_cielabs():
    grays = label_map._cielab(np.array([(255,) * 3, (119,) * 3, (0,) * 3]))
    np.testing.assert_allclose(grays[:, 0], [100, 50, 0], atol=0.1)
    np.testing.assert_allclose(grays[:, 1:], 0, atol=0.1)


def test_more_colors_keep_the_first_ones():
    assert distinct_colors(20)[:5] == distinct_colors(5)
    assert distinct_colors(0) == []


def test_rgb_takes_exactly_three_numbers():
    assert rgb([1, 2, 3]) == (1, 2, 3)
    with pytest.raises(ValueError, match="not enough values"):
        rgb([1, 2])


def label_map_of(ids, ignore_id=None):
    classes = [LabelClass(id=i, name=f"class {i}", color=(i, 0, 0)) for i in ids]
    return LabelMap(semantic_classes=tuple(classes), ignore_id=ignore_id)


@pytest.mark.parametrize(
    ("ids", "ignore_id", "expected"),
    [
        (range(12), 11, 11),
        (range(11), 255, 255),
        (range(12), None, 255),
        ([0, 254, 255], None, 253),
        (range(256), 0, 0),
        ([], None, 255),
    ],
)
def test_padding_is_no_class_that_is_learnt(ids, ignore_id, expected):
    assert label_map_of(ids, ignore_id).padding_id == expected


def test_256_classes_leave_no_id_for_padding():
    with pytest.raises(OptionError, match="none is left for padding"):
        _ = label_map_of(range(256)).padding_id


def test_ids_to_train_with_are_255_where_ignored():
    assert label_map_of(range(12)).training_ids().tolist() == list(range(256))
    ids = label_map_of(range(12), 11).training_ids()
    assert ids[11] == 255
    assert ids[[*range(11), *range(12, 256)]].tolist() == [*range(11), *range(12, 256)]


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "a\u202eb"])
def test_class_name_with_control_characters_is_refused(name):
    with pytest.raises(OptionError, match="has control characters in its name"):
        LabelMap.from_dict({name: 1})
