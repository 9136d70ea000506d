"""Serialized record -> tensors, in graph, by the schema of `segdata.features`."""

from __future__ import annotations

from collections.abc import Sequence

from segdata import features
from segdata.features import Feature
from segdata.tensorflow_import import tf

_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}


def parse_features(
    serialized: tf.Tensor, wanted: Sequence[Feature]
) -> dict[Feature, tf.Tensor]:
    """Parses some features of one record and checks its schema version.

    Args:
      serialized: `[] string`, a serialized `tf.train.Example`.
      wanted: Features of `segdata.features`.

    Returns:
      Feature -> `[]` tensor for scalars, `[n]` for lists (`[0]` where the key is
      absent), of the feature's kind.

    Raises:
      tf.errors.InvalidArgumentError: If a scalar is missing, or the record was written
        in a newer schema than this version reads.
    """
    spec = {f.key: _spec(f) for f in (features.SCHEMA, features.KEY, *wanted)}
    parsed = tf.io.parse_single_example(serialized, spec)
    newest = tf.constant(features.SCHEMA_VERSION, tf.int64)
    check = tf.debugging.assert_less_equal(
        parsed[features.SCHEMA.key],
        newest,
        message="record was written by a newer segdata: upgrade segdata to read it",
        summarize=1,
    )
    with tf.control_dependencies([] if check is None else [check]):
        return {f: tf.identity(parsed[f.key]) for f in wanted}


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
