from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest

from segdata.label_map import LabelClass, LabelMap
from segdata.records import schema
from segdata.shards import tfds
from segdata.shards.manifest import About, Manifest, ShardSummary, SplitSummary
from segdata.shards.receipt import Counts


def shard(name: str, num_records: int) -> ShardSummary:
    return ShardSummary(
        name=name,
        num_records=num_records,
        num_bytes=10 * num_records,
        sha256="",
        receipt_sha256="",
        first_key=None,
        last_key=None,
    )


def split(*num_records: int, **parts: int) -> SplitSummary:
    return SplitSummary(
        num_records=sum(num_records),
        num_bytes=10 * sum(num_records),
        rejects={},
        rejected_objects={},
        counts=Counts(parts=Counter(parts)),
        shards=tuple(shard(f"{i}", n) for i, n in enumerate(num_records)),
    )


def manifest(
    label_map: LabelMap, splits: dict[str, SplitSummary], name: str = "coco"
) -> Manifest:
    return Manifest(
        name=name,
        layout="a layout",
        fingerprint="",
        options={},
        versions={},
        label_map=label_map,
        splits=splits,
    )


def classes(*names: str, first: int = 1) -> tuple[LabelClass, ...]:
    return tuple(
        LabelClass(id=index, name=name, color=(0, 0, 0))
        for index, name in enumerate(names, first)
    )


OBJECTS = LabelMap(object_classes=classes("cat", "dog"))
PIXELS = LabelMap(semantic_classes=classes("sky", "road", first=0))


def declared(built: Manifest) -> dict[str, Any]:
    data = orjson.loads(tfds.dataset_features(built))
    found: dict[str, Any] = data["featuresDict"]["features"]
    return found


def kind(node: dict[str, Any]) -> str:
    name: str = node["pythonClassName"].rpartition(".")[2]
    return (
        f"{name}({kind(node['sequence']['feature'])})" if "sequence" in node else name
    )


def test_info_names_splits_and_records_of_each_shard_as_text() -> None:
    built = manifest(OBJECTS, {"train": split(3, 0, 2), "val": split(1)})
    info = orjson.loads(tfds.dataset_info(built))
    assert info["name"] == "coco"
    assert info["version"] == f"{schema.SCHEMA_VERSION}.0.0"
    assert info["fileFormat"] == "tfrecord"
    assert info["splits"] == [
        {"name": "train", "shardLengths": ["3", "0", "2"], "numBytes": "50"},
        {"name": "val", "shardLengths": ["1"], "numBytes": "10"},
    ]


def test_info_has_no_field_that_the_parser_would_refuse() -> None:
    info = orjson.loads(tfds.dataset_info(manifest(OBJECTS, {"a": split(1)})))
    known = {"name", "version", "description", "fileFormat", "splits"}
    assert info.keys() == known


def test_what_the_user_says_is_told_in_the_places_of_the_format() -> None:
    about = About(
        description="Streets.",
        license="CC-BY-4.0",
        citation="@misc{a}",
        homepage="https://example.org",
    )
    told = replace(manifest(OBJECTS, {"a": split(1)}), about=about)
    info = orjson.loads(tfds.dataset_info(told))
    assert (info["description"], info["citation"]) == ("Streets.", "@misc{a}")
    assert info["location"] == {"urls": ["https://example.org"]}
    assert info["redistributionInfo"] == {"license": "CC-BY-4.0"}


def test_every_node_names_its_class() -> None:
    def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
        inner = node.get("sequence", {}).get("feature")
        return [node, *(nodes(inner) if inner else [])]

    built = manifest(OBJECTS, {"train": split(1)})
    prefix = "tensorflow_datasets.core.features."
    for node in declared(built).values():
        for inner in nodes(node):
            assert inner["pythonClassName"].startswith(prefix)


def test_object_keys_are_declared_where_there_are_object_classes() -> None:
    found = declared(manifest(OBJECTS, {"train": split(1)}))
    assert kind(found["image/encoded"]) == "Image"
    assert kind(found["image/height"]) == "Tensor"
    assert kind(found["image/object/class/label"]) == "Sequence(ClassLabel)"
    assert kind(found["image/object/mask/rle"]) == "Sequence(Sequence(Tensor))"
    assert kind(found["image/object/bbox/ymin"]) == "Sequence(Tensor)"
    assert not [key for key in found if "ragged" in key]
    assert not [key for key in found if key.startswith("image/segmentation")]


def test_label_map_keys_are_declared_where_there_are_label_maps() -> None:
    built = manifest(PIXELS, {"train": split(2, label_map=2)})
    found = declared(built)
    assert kind(found["image/segmentation/class/rle/values"]) == "Tensor"
    assert kind(found["image/segmentation/class/rle/lengths"]) == "Sequence(Tensor)"
    assert not [key for key in found if key.startswith("image/object/class")]


def test_label_maps_that_one_record_lacks_are_not_declared() -> None:
    splits = {"train": split(2, label_map=2), "val": split(2, label_map=1)}
    found = declared(manifest(PIXELS, splits))
    # A list may be missing, a value may not.
    single = {f.key for f in schema.LABEL_MAP_FEATURES if not f.is_list}
    assert single
    assert not single & found.keys()


def test_parts_that_no_record_has_are_not_declared() -> None:
    found = declared(manifest(OBJECTS, {"train": split(2)}))
    assert not [key for key in found if key.startswith(("image/caption", "image/reg"))]
    found = declared(
        manifest(OBJECTS, {"train": split(2, captions=1), "val": split(1)})
    )
    assert kind(found["image/caption"]) == "Sequence(Tensor)"


def test_every_single_value_that_is_declared_is_in_every_record() -> None:
    built = manifest(OBJECTS, {"train": split(1)})
    single = {f.key for f in schema.ALL_FEATURES if not f.is_list}
    always = {f.key for f in schema.IMAGE_FEATURES}
    assert single & declared(built).keys() <= always


def test_object_names_stand_at_their_ids() -> None:
    assert tfds.object_names(classes("cat", "dog")) == b"background\ncat\ndog\n"


def test_gaps_between_ids_get_names_that_are_no_classes() -> None:
    text = tfds.object_names(classes("cat", first=3))
    assert text == b"background\nunused_1\nunused_2\ncat\n"


@pytest.mark.parametrize(
    "names",
    [("cat ", "dog"), ("", "dog"), ("a\nb",), ("background",), ("a\x85b",), ("\t",)],
)
def test_names_that_tfds_would_change_are_not_written(names: tuple[str, ...]) -> None:
    assert tfds.object_names(classes(*names)) is None


def test_classes_with_huge_ids_are_plain_numbers() -> None:
    label_map = LabelMap(object_classes=classes("cat", first=2**31 - 1))
    assert tfds.object_names(label_map.object_classes) is None
    found = declared(manifest(label_map, {"train": split(1)}))
    assert kind(found["image/object/class/label"]) == "Sequence(Tensor)"
