"""Serialized record -> tensors, in graph, by the schema of `segdata.features`."""

from __future__ import annotations

from collections.abc import Sequence

from segdata import features
from segdata.features import Feature
from segdata.tensorflow_import import tf

_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}


def parse_features(
    serialized: tf.Tensor,
    wanted: Sequence[Feature],
    file: str | tf.Tensor = "",
) -> dict[Feature, tf.Tensor]:
    """Parses some features of one record and checks its schema version.

    Args:
      serialized: `[] string`, a serialized `tf.train.Example`.
      wanted: Features of `segdata.features`.
      file: `[] string`, where the record lies, for messages.

    Returns:
      Feature -> `[]` tensor for scalars, `[n]` for lists (`[0]` where the key is
      absent), of the feature's kind.

    Raises:
      tf.errors.InvalidArgumentError: If a scalar is missing, or the record was written
        in a newer schema than this version reads.
    """
    spec = {f.key: _spec(f) for f in (features.SCHEMA, features.KEY, *wanted)}
    parsed = tf.io.parse_single_example(serialized, spec, example_names=file)
    readable = tf.raw_ops.Assert(
        condition=parsed[features.SCHEMA.key] <= features.SCHEMA_VERSION,
        data=[
            "record was written by a newer segdata: upgrade segdata to read it; its "
            "schema version, the newest that this version reads, and the record",
            parsed[features.SCHEMA.key],
            features.SCHEMA_VERSION,
            record_name(parsed[features.KEY.key], file),
        ],
    )
    with tf.control_dependencies([] if readable is None else [readable]):
        return {f: tf.identity(parsed[f.key]) for f in wanted}


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
    return tf.io.FixedLenFeature([], dtype)
