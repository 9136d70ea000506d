"""`tf.train.Example` without TensorFlow: the same messages in a pool of our own.

Importing TensorFlow costs seconds and hundreds of megabytes in every worker, only for
three small messages. Their definition is
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
and `example.proto` beside it. The descriptor pool is private, so TensorFlow may be
imported in the same process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "tensorflow"


def _field(
    number: int, name: str, kind: int, *, label: int = 1, message: str = ""
) -> descriptor_pb2.FieldDescriptorProto:
    field = _Field(name=name, number=number, type=kind, label=label)  # type: ignore[arg-type]  # enum stubs
    if message:
        field.type_name = f".{_PACKAGE}.{message}"
    return field


def _file() -> descriptor_pb2.FileDescriptorProto:
    one, many = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(
        name="segdata/example.proto", package=_PACKAGE, syntax="proto3"
    )
    lists = {
        "BytesList": _Field.TYPE_BYTES,
        "FloatList": _Field.TYPE_FLOAT,
        "Int64List": _Field.TYPE_INT64,
    }
    for name, kind in lists.items():
        message = file.message_type.add(name=name)
        message.field.append(_field(1, "value", kind, label=many))
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field, message_name) in enumerate(
        (
            ("bytes_list", "BytesList"),
            ("float_list", "FloatList"),
            ("int64_list", "Int64List"),
        ),
        start=1,
    ):
        choice = _field(number, field, _Field.TYPE_MESSAGE, message=message_name)
        choice.oneof_index = 0
        feature.field.append(choice)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.append(_field(1, "key", _Field.TYPE_STRING))
    entry.field.append(_field(2, "value", _Field.TYPE_MESSAGE, message="Feature"))
    features.field.append(
        _field(
            1,
            "feature",
            _Field.TYPE_MESSAGE,
            label=many,
            message="Features.FeatureEntry",
        )
    )
    example = file.message_type.add(name="Example")
    example.field.append(
        _field(1, "features", _Field.TYPE_MESSAGE, label=one, message="Features")
    )
    _add_sequence_example(file)
    return file


def _add_sequence_example(file: descriptor_pb2.FileDescriptorProto) -> None:
    """We write none, but `segdata inspect` reads any."""
    many, kind = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
    steps = file.message_type.add(name="FeatureList")
    steps.field.append(_field(1, "feature", kind, label=many, message="Feature"))
    lists = file.message_type.add(name="FeatureLists")
    entry = lists.nested_type.add(name="FeatureListEntry")
    entry.options.map_entry = True
    entry.field.append(_field(1, "key", _Field.TYPE_STRING))
    entry.field.append(_field(2, "value", kind, message="FeatureList"))
    of_lists = _field(
        1, "feature_list", kind, label=many, message="FeatureLists.FeatureListEntry"
    )
    lists.field.append(of_lists)
    sequence = file.message_type.add(name="SequenceExample")
    sequence.field.append(_field(1, "context", kind, message="Features"))
    sequence.field.append(_field(2, "feature_lists", kind, message="FeatureLists"))


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in ("Example", "Features", "Feature", "SequenceExample")
    }


_CLASSES = _message_classes()

# Any: protobuf builds these classes at run time, no stub can describe them.
Example: Any = _CLASSES["Example"]
"""`tf.train.Example`, wire-compatible and used like it."""
Features: Any = _CLASSES["Features"]
Feature: Any = _CLASSES["Feature"]
SequenceExample: Any = _CLASSES["SequenceExample"]
"""`tf.train.SequenceExample`. Its context is read where an `Example`'s features are."""


def serialize(example: Any) -> bytes:
    """Serializes to the same bytes in every process.

    The plain `SerializeToString()` writes map entries in an order that differs from
    process to process.
    """
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def parse(data: bytes) -> Any:
    """Parses one serialized `tf.train.Example`.

    Raises:
      google.protobuf.message.DecodeError: If the bytes are no such message.
    """
    return Example.FromString(data)


def feature_kind(example: Any, key: str) -> str | None:
    """`bytes`, `int64` or `float`; None where the key is absent or holds nothing."""
    if key not in example.features.feature:
        return None
    kind: str | None = example.features.feature[key].WhichOneof("kind")
    return kind and kind.removesuffix("_list")


def feature_values(example: Any, key: str) -> Sequence[Any]:
    """The values of a feature, whatever their kind; empty where the key is absent."""
    kind = feature_kind(example, key)
    if kind is None:
        return ()
    values: Sequence[Any] = getattr(example.features.feature[key], f"{kind}_list").value
    return values
