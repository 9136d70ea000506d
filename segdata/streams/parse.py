"""Serialized record -> tensors, in graph, by the schema of `segdata.records.schema`."""

from __future__ import annotations

from collections.abc import Sequence

from segdata.records import schema
from segdata.records.schema import Feature
from segdata.streams.tensorflow import tf

_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}
# What no record holds: stands for a scalar that is not there.
_MISSING = {"bytes": b"\0", "int64": -(2**63), "float": float("-inf")}


def parse_features(
    serialized: tf.Tensor,
    wanted: Sequence[Feature],
    file: str | tf.Tensor = "",
) -> dict[Feature, tf.Tensor]:
    """Parses some features of one record and checks its schema version.

    Args:
      serialized: `[] string`, a serialized `tf.train.Example`.
      wanted: Features of `segdata.records.schema`.
      file: `[] string`, where the record lies, for messages.

    Returns:
      Feature -> `[]` tensor for scalars, `[n]` for lists (`[0]` where the key is
      absent), of the feature's kind.

    Raises:
      tf.errors.InvalidArgumentError: If a scalar is missing, or the record was written
        in a newer schema than this version reads.
    """
    all_wanted = dict.fromkeys((schema.SCHEMA, schema.KEY, *wanted))
    spec = {f.key: _spec(f) for f in all_wanted}
    parsed = tf.io.parse_single_example(serialized, spec)
    scalars = [feature for feature in all_wanted if not feature.is_list]
    name = record_name(parsed[schema.KEY.key], file)
    checks = (_is_complete(parsed, scalars, name), _is_readable(parsed, name))
    with tf.control_dependencies([check for check in checks if check is not None]):
        values = tf.identity_n([parsed[f.key] for f in wanted])  # one op for all
    return dict(zip(wanted, values, strict=True))


def _is_complete(
    parsed: dict[str, tf.Tensor], scalars: Sequence[Feature], name: tf.Tensor
) -> tf.Operation | None:
    """Checks that no scalar is missing; TensorFlow would not say in which record."""
    present = tf.stack([tf.not_equal(parsed[f.key], _MISSING[f.kind]) for f in scalars])
    keys = ", ".join(feature.key for feature in scalars)
    return tf.raw_ops.Assert(
        condition=tf.reduce_all(present),
        data=[
            f"record lacks a required feature; whether it has {keys}, and the record",
            present,
            name,
        ],
        summarize=len(scalars),
    )


def _is_readable(parsed: dict[str, tf.Tensor], name: tf.Tensor) -> tf.Operation | None:
    """Checks the version of the schema."""
    return tf.raw_ops.Assert(
        condition=parsed[schema.SCHEMA.key] <= schema.SCHEMA_VERSION,
        data=[
            "record was written by a newer segdata: upgrade segdata to read it; its "
            "schema version, the newest that this version reads, and the record",
            parsed[schema.SCHEMA.key],
            schema.SCHEMA_VERSION,
            name,
        ],
    )


def record_name(key: tf.Tensor, file: str | tf.Tensor) -> tf.Tensor:
    """What messages call a record: `[] string` with its key and file."""
    return tf.strings.join([key, " in ", file])


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG file.

    Args:
      encoded: `[] string`.

    Returns:
      `[height, width, 3] uint8`, RGB; grey images get three equal channels.
    """
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _spec(feature: Feature) -> tf.io.FixedLenFeature | tf.io.RaggedFeature:
    dtype = _DTYPES[feature.kind]
    if feature.is_list:
        return tf.io.RaggedFeature(dtype)
    return tf.io.FixedLenFeature([], dtype, _MISSING[feature.kind])
