import io

import numpy as np
import pytest
from PIL import Image

from segdata.records import proto, schema
from segdata.records.proto import Example, serialize
from segdata.streams import parse
from segdata.streams.tensorflow import tf


def record(**values: object) -> bytes:
    example = Example()
    for key, value in {
        schema.SCHEMA.key: 1,
        schema.KEY.key: b"street/7",
        schema.HEIGHT.key: 3,
        **values,
    }.items():
        if value is None:
            continue
        kind = "bytes_list" if isinstance(value, bytes) else "int64_list"
        getattr(example.features.feature[key], kind).value.append(value)
    return serialize(example)


def test_wanted_features_come_back_by_feature() -> None:
    parsed = parse.parse_features(record(), (schema.HEIGHT, schema.LABEL_LENGTHS))
    assert set(parsed) == {schema.HEIGHT, schema.LABEL_LENGTHS}
    assert parsed[schema.HEIGHT].numpy() == 3
    assert parsed[schema.LABEL_LENGTHS].shape == (0,)


def test_a_missing_scalar_is_refused_by_name() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="image/width"):
        parse.parse_features(record(), (schema.WIDTH,))


@pytest.mark.parametrize("value", [b"", b"\0", b"\xff" * 9, 0, -(2**63), 2**63 - 1])
def test_any_value_of_a_scalar_is_a_value(value: bytes | int) -> None:
    feature = schema.LABEL_VALUES if isinstance(value, bytes) else schema.WIDTH
    parsed = parse.parse_features(record(**{feature.key: value}), (feature,))
    assert parsed[feature].numpy() == value


def test_a_scalar_that_stands_twice_is_refused() -> None:
    example = proto.parse(record())
    example.features.feature[schema.HEIGHT.key].int64_list.value.append(3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than once"):
        parse.parse_features(serialize(example), (schema.HEIGHT,))


def test_a_newer_record_is_refused() -> None:
    newer = record(**{schema.SCHEMA.key: schema.SCHEMA_VERSION + 1})
    with pytest.raises(tf.errors.InvalidArgumentError, match="upgrade segdata"):
        parse.parse_features(newer, (schema.HEIGHT,))


def test_a_newer_record_is_refused_in_a_stream_too() -> None:
    newer = record(**{schema.SCHEMA.key: schema.SCHEMA_VERSION + 1})
    stream = tf.data.Dataset.from_tensors(newer).map(
        lambda data: parse.parse_features(data, (schema.HEIGHT,))[schema.HEIGHT]
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="upgrade segdata"):
        list(stream)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_images_decode_to_three_channels(kind: str, mode: str) -> None:
    image = Image.new(mode, (4, 2), 77 if mode == "L" else (77, 77, 77))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    decoded = parse.decode_image(buffer.getvalue()).numpy()
    np.testing.assert_array_equal(decoded, np.full((2, 4, 3), 77, np.uint8))
