"""The files by which TensorFlow Datasets opens a build as a data set of its own.

`tfds.builder_from_directory(OUT)` reads `dataset_info.json` (splits, records of each
shard), `features.json` (keys and types, as its protocol buffers in JSON) and
`KEY.labels.txt` (class names). Its parser refuses unknown fields, and a single value
that is declared but missing in one record ends the reading: only what is in every
record is declared. Formats checked against TensorFlow Datasets 4.9.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from segdata.label_map import LabelClass, LabelMap
from segdata.records import schema
from segdata.records.schema import Feature
from segdata.shards.manifest import Manifest

INFO_NAME = "dataset_info.json"
FEATURES_NAME = "features.json"
_CLASS_IDS = (schema.OBJECT_LABEL, schema.IMAGE_LABEL)
CLASS_NAMES_NAMES = tuple(f"{f.key.replace('/', '.')}.labels.txt" for f in _CLASS_IDS)
"""TFDS's files for the names of the ids in these features."""

_PNG_MAPS = (
    schema.OBJECT_MASK,
    schema.LABEL_PNG,
    schema.PANOPTIC_CATEGORY,
    schema.PANOPTIC_INSTANCE,
)
_PACKAGE = "tensorflow_datasets.core.features"
_RAGGED_SUFFIX = "/ragged_flat_values"
# Names of a sparse set of ids would be filled up one by one.
_MAX_CLASSES = 1 << 16

Node = dict[str, Any]


def dataset_info(manifest: Manifest) -> bytes:
    """`dataset_info.json`: what TFDS calls the data set, its splits and shards."""
    about = manifest.about
    told: Node = {
        "citation": about.citation,
        "location": {"urls": [about.homepage]} if about.homepage else {},
        "redistributionInfo": {"license": about.license} if about.license else {},
    }
    layout = f"{manifest.name}: {manifest.layout}. Written by segdata."
    info = {
        "name": manifest.name,
        "version": f"{schema.SCHEMA_VERSION}.0.0",
        "description": about.description or layout,
        **{name: value for name, value in told.items() if value},
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": name,
                # int64 is text in the JSON form of protocol buffers.
                "shardLengths": [str(shard.num_records) for shard in split.shards],
                "numBytes": str(split.num_bytes),
            }
            for name, split in sorted(manifest.splits.items())
        ],
    }
    return _json(info)


def dataset_features(manifest: Manifest) -> bytes:
    """`features.json`: key and type of everything that every record has."""
    declared = [
        _node(feature, manifest)
        for feature in declared_features(manifest)
        if feature is not schema.OBJECT_NUM_RUNS  # see OBJECT_RUNS
    ]
    content = {"features": dict(sorted(declared))}
    return _json(_typed("features_dict.FeaturesDict", "featuresDict", content))


def declared_features(manifest: Manifest) -> tuple[Feature, ...]:
    """The features that TFDS may be told of: lists, and values in every record."""
    chosen: tuple[Feature, ...] = schema.IMAGE_FEATURES
    splits = manifest.splits.values()
    for part, group in schema.OPTIONAL_PARTS.items():
        missing = sum(s.num_records - s.counts.parts[part] for s in splits)
        in_some = any(s.counts.parts[part] for s in splits)
        chosen += tuple(f for f in group if (in_some if f.is_list else not missing))
    if manifest.label_map.object_classes:
        chosen += schema.OBJECT_FEATURES
    if manifest.label_map.num_keypoints:
        chosen += schema.KEYPOINT_FEATURES
    if "png" in manifest.options.get("masks", ()):
        chosen += _png_features(manifest.label_map, schema.LABEL_VALUES in chosen)
    return chosen


def _png_features(label_map: LabelMap, label_maps_in_all: bool) -> tuple[Feature, ...]:
    chosen: tuple[Feature, ...] = ()
    if label_map.object_classes:
        chosen += schema.OBJECT_PNG_FEATURES
    if label_map.is_panoptic:
        chosen += schema.PANOPTIC_PNG_FEATURES
    if label_map.is_panoptic or label_maps_in_all:
        chosen += schema.LABEL_PNG_FEATURES
    return chosen


def class_names(manifest: Manifest) -> dict[str, bytes]:
    """The files with the names of class ids: name -> content."""
    names = object_names(manifest.label_map.object_classes)
    declared = declared_features(manifest)
    return {
        file: names
        for file, feature in zip(CLASS_NAMES_NAMES, _CLASS_IDS, strict=True)
        if names is not None and feature in declared
    }


def object_names(classes: Sequence[LabelClass]) -> bytes | None:
    """Class names by id, one a line, with `background` or `unused_N` in the gaps.

    Returns:
      None where TFDS could not read them: it strips names, skips empty ones and
      refuses doubles.
    """
    num_classes = _num_classes(classes)
    if num_classes is None:
        return None
    names = ["background", *(f"unused_{i}" for i in range(1, num_classes))]
    for item in classes:
        names[item.id] = item.name
    readable = all(n == n.strip() != "" and len(n.splitlines()) == 1 for n in names)
    if not readable or len(set(names)) != len(names):
        return None
    return "".join(f"{name}\n" for name in names).encode()


def _num_classes(classes: Sequence[LabelClass]) -> int | None:
    highest = max((item.id for item in classes), default=0)
    return highest + 1 if highest < _MAX_CLASSES else None


def _node(feature: Feature, manifest: Manifest) -> tuple[str, Node]:
    """TFDS's key and declaration of a feature."""
    if feature is schema.OBJECT_RUNS:
        # One feature to TFDS, which knows the suffixes of the pair of keys.
        runs = _sequence(_sequence(_tensor("int64")))
        return feature.key.removesuffix(_RAGGED_SUFFIX), runs
    if feature is schema.ENCODED:
        return feature.key, _image(channels=3)
    if feature in _PNG_MAPS:
        single = _image(channels=1)
        return feature.key, _sequence(single) if feature.is_list else single
    num_classes = _num_classes(manifest.label_map.object_classes)
    if feature in _CLASS_IDS and num_classes is not None:
        content = {"numClasses": str(num_classes)}
        label = _typed("class_label_feature.ClassLabel", "classLabel", content)
        return feature.key, _sequence(label)
    dtype = {"bytes": "string", "int64": "int64", "float": "float32"}[feature.kind]
    single = _tensor(dtype)
    return feature.key, _sequence(single) if feature.is_list else single


def _typed(python_class: str, kind: str, content: Node) -> Node:
    return {"pythonClassName": f"{_PACKAGE}.{python_class}", kind: content}


def _tensor(dtype: str) -> Node:
    content = {"dtype": dtype, "encoding": "none", "shape": {}}
    return _typed("tensor_feature.Tensor", "tensor", content)


def _sequence(single: Node) -> Node:
    content = {"feature": single, "length": "-1"}
    return _typed("sequence_feature.Sequence", "sequence", content)


def _image(*, channels: int) -> Node:
    # No encodingFormat: it only says how TFDS would write; it reads JPEG and PNG.
    shape = {"dimensions": ["-1", "-1", str(channels)]}
    content = {"dtype": "uint8", "shape": shape}
    return _typed("image_feature.Image", "image", content)


def _json(value: Node) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
