"""Serialized record -> tensors, in graph, by the schema of `segdata.records.schema`."""

from __future__ import annotations

from collections.abc import Sequence

from segdata.records import schema
from segdata.records.schema import Feature
from segdata.streams.tensorflow import tf

_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}


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
    features = tuple(dict.fromkeys((schema.SCHEMA, schema.KEY, *wanted)))
    # Scalars too are parsed as lists: how many values there are tells what is absent.
    # A default value could not, as any bytes and any number may be a record's own.
    lists = tf.io.parse_single_example(
        serialized,
        {
            feature.key: tf.io.FixedLenSequenceFeature(
                [], _DTYPES[feature.kind], allow_missing=True
            )
            for feature in features
        },
    )
    name = record_name(tf.strings.reduce_join(lists[schema.KEY.key]), file)
    checks = (_is_complete(lists, features, name), _is_readable(lists, name))
    with tf.control_dependencies([check for check in checks if check is not None]):
        values = tf.identity_n([lists[f.key] for f in wanted])  # one op for all
    return {
        feature: value if feature.is_list else tf.reshape(value, [])
        for feature, value in zip(wanted, values, strict=True)
    }


def _is_complete(
    lists: dict[str, tf.Tensor], features: Sequence[Feature], name: tf.Tensor
) -> tf.Operation | None:
    """Checks that each scalar is there; TensorFlow would not say in which record."""
    scalars = [feature for feature in features if not feature.is_list]
    counts = tf.stack([tf.size(lists[feature.key]) for feature in scalars])
    keys = ", ".join(feature.key for feature in scalars)
    return tf.raw_ops.Assert(
        condition=tf.reduce_all(tf.equal(counts, 1)),
        data=[
            "record lacks a required feature, or has it more than once; how many it "
            f"has of {keys}, and the record",
            counts,
            name,
        ],
        summarize=len(scalars),
    )


def _is_readable(lists: dict[str, tf.Tensor], name: tf.Tensor) -> tf.Operation | None:
    """Checks the version of the schema."""
    version = lists[schema.SCHEMA.key]
    return tf.raw_ops.Assert(
        condition=tf.reduce_all(version <= schema.SCHEMA_VERSION),
        data=[
            "record was written by a newer segdata: upgrade segdata to read it; its "
            "schema version, the newest that this version reads, and the record",
            version,
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
