"""One image by hand: read its files, encode it, make it a `tf.train.Example`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segdata.building.sources import read_files
from segdata.label_map import LabelMap
from segdata.records.encode import encode_record
from segdata.records.to_example import to_example
from segdata.storage.paths import Address


def dict_to_tf_example(
    data: Mapping[str, Any],
    label_map_dict: Mapping[str, int],
    image_dir: Address,
) -> Any:
    """Builds the record of one image: reads its pixels, checks them, encodes masks.

    Args:
      data: Annotation dict, see `segdata.annotations.Annotation`.
      label_map_dict: Class name -> contiguous id: a plain dict, or a
        `segdata.label_map.LabelMap`, which also knows source ids and colours.
      image_dir: Folder that the paths in `data` are relative to and may not leave.

    Returns:
      A message that is wire-compatible with `tf.train.Example` and used like it
      (`.features.feature[key]`, `.SerializeToString()`); the keys stand in
      `segdata.records.schema`. For bytes that are equal in every process serialize it
      with `segdata.serialize`.

    Raises:
      ImageError: If the image or label image is missing, undecodable or refused.
      AnnotationError: If an annotation is malformed, does not fit the image, or names
        an unknown class.
    """
    label_map = LabelMap.from_dict(label_map_dict)
    record = encode_record(data, read_files(data, image_dir), label_map)
    return to_example(record, label_map)
