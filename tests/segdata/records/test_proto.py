from __future__ import annotations

import os
import subprocess
import sys

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata.records import proto
from segdata.records.proto import Example, feature_values

values = st.one_of(
    st.tuples(st.just("bytes_list"), st.lists(st.binary(max_size=9), max_size=4)),
    st.tuples(
        st.just("int64_list"),
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    ),
    st.tuples(
        st.just("float_list"),
        st.lists(st.floats(width=32, allow_nan=False), max_size=4),
    ),
)
contents = st.dictionaries(st.text(max_size=8), values, max_size=5)


def build(content):
    example = Example()
    for key, (kind, items) in content.items():
        target = getattr(example.features.feature[key], kind)
        target.SetInParent()
        target.value.extend(items)
    return example


@given(contents)
@settings(max_examples=60, deadline=None)
def test_serialized_example_comes_back(content):
    parsed = proto.parse(proto.serialize(build(content)))
    assert set(parsed.features.feature) == set(content)
    for key, (kind, items) in content.items():
        assert parsed.features.feature[key].WhichOneof("kind") == kind
        assert list(feature_values(parsed, key)) == items


@given(contents)
@settings(max_examples=30, deadline=None)
def test_bytes_do_not_depend_on_the_order_of_filling(content):
    backwards = dict(reversed(content.items()))
    assert proto.serialize(build(content)) == proto.serialize(build(backwards))


def test_bytes_are_the_wire_format_of_tf_train_example():
    content = {"a": ("int64_list", [3]), "b": ("bytes_list", [b"x"])}
    # Example{1: Features{1: {1: key, 2: Feature{3: Int64List{1: packed}}}}} ...
    entry_a = b"\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x03"
    entry_b = b"\x0a\x01b\x12\x05\x0a\x03\x0a\x01x"
    features = b"".join(b"\x0a" + bytes([len(e)]) + e for e in (entry_a, entry_b))
    expected = b"\x0a" + bytes([len(features)]) + features
    assert proto.serialize(build(content)) == expected


def test_bytes_are_equal_in_every_process():
    code = (
        "from segdata.records.proto import Example, serialize\n"
        "e = Example()\n"
        "for n in range(40): e.features.feature[f'k{n}'].int64_list.value.append(n)\n"
        "print(serialize(e).hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    content = {f"k{n}": ("int64_list", [n]) for n in range(40)}
    assert printed == {f"{proto.serialize(build(content)).hex()}\n"}


def test_absent_and_kindless_features_have_no_values():
    example = Example()
    example.features.feature["kindless"].SetInParent()
    assert list(feature_values(example, "absent")) == []
    assert "absent" not in example.features.feature
    assert list(feature_values(example, "kindless")) == []


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(DecodeError):
        proto.parse(b"\xff\xff\xff")


def test_building_records_does_not_import_tensorflow():
    code = (
        "import sys, segdata.records.encode, segdata.records.record\n"
        "print('tensorflow' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
