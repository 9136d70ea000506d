from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import ValidationError

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.formats.camvid.classes import COLORS, grouped
from segdata.shards.manifest import (
    MANIFEST_VERSION,
    About,
    Manifest,
    SourceSummary,
    read_manifest,
    summarize,
)
from segdata.shards.receipt import Counts, IndexEntry, Reject, ShardReceipt

SHARD = "camvid-train.tfrecord-00000-of-00001"
VAL = "camvid-val.tfrecord-00000-of-00002"


def manifest_of(receipts: list[ShardReceipt], **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "camvid",
        "layout": "SegNet split (train)",
        "fingerprint": "ab" * 32,
        "options": {"seed": 0, "split": {"names": [], "shares": []}},
        "versions": {"segdata": "0.1.0"},
        "label_map": grouped(COLORS, void_outside=True, unknown_to_void=True),
        "splits": summarize(receipts),
        "leakage": [["train/a", "val/b"]],
        "warnings": ["one line"],
        "settings_sha256": "cd" * 32,
        "source": SourceSummary(sha256="ef" * 32, num_records=3, num_bytes=9),
        "about": About(license="CC-BY-4.0", homepage="https://example.org/a"),
    }
    return Manifest(**{**values, **changes})


def write_manifest(folder: Path, data: Any) -> Path:
    (folder / "manifest.json").write_bytes(
        data if isinstance(data, bytes) else orjson.dumps(data)
    )
    return folder


def manifest_json(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(manifest_of([]).to_bytes())
    return {**data, **changes}


def counts(*sizes: tuple[int, int], **values: Any) -> Counts:
    result = Counts(**values)
    for height, width in sizes:
        result.add_size(height, width)
    return result


def receipt(name: str, split: str, *keys: str, **values: Any) -> ShardReceipt:
    entries = tuple(
        IndexEntry(
            key=key, offset=10 * index, size=10, image_sha256="00", source_sha256="ee"
        )
        for index, key in enumerate(keys)
    )
    defaults: dict[str, Any] = {
        "plan_sha256": "p",
        "num_bytes": 10 * len(keys),
        "sha256": f"hash of {name}",
        "rejects": (),
        "counts": Counts(),
    }
    return ShardReceipt(
        name=name, split=split, records=entries, **{**defaults, **values}
    )


# --- the manifest ---


def test_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    one = receipt(
        "camvid-train.tfrecord-00000-of-00002",
        "train",
        "a",
        "\u00e9/b c",
        counts=counts((4, 9), class_pixels=Counter({"10": 2**53}), voided_pixels=3),
    )
    reject = Reject(
        key="x", split="val", image="x", reason="r", stage="encode", message="m"
    )
    written = manifest_of(
        [
            one,
            receipt("camvid-train.tfrecord-00001-of-00002", "train"),
            receipt(
                "camvid-val.tfrecord-00000-of-00002", "val", "c", rejects=(reject,)
            ),
        ]
    )
    write_manifest(tmp_path, written.to_bytes())
    assert read_manifest(tmp_path) == written
    assert read_manifest(tmp_path).to_bytes() == written.to_bytes()


def test_manifest_names_the_hash_of_every_receipt() -> None:
    one = receipt("t0", "train", "a")
    (shard,) = manifest_of([one]).splits["train"].shards
    assert shard.receipt_sha256 == hashlib.sha256(one.to_bytes()).hexdigest()


def test_manifest_holds_its_versions_first() -> None:
    data = orjson.loads(manifest_of([]).to_bytes())
    assert list(data)[:2] == ["manifest_version", "schema_version"]
    assert data["manifest_version"] == MANIFEST_VERSION


def test_missing_manifest_means_an_unfinished_build(tmp_path: Path) -> None:
    message = r"holds no finished build: manifest\.json is missing .*Run `segdata build"
    with pytest.raises(OutputError, match=message) as caught:
        read_manifest(tmp_path)
    assert caught.value.reason == "no-manifest"


def test_manifest_of_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere holds no finished build"):
        read_manifest(tmp_path / "nowhere")


def test_manifest_of_a_newer_segdata_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest_json(manifest_version=MANIFEST_VERSION + 1))
    message = rf"version {MANIFEST_VERSION + 1}: .* up to {MANIFEST_VERSION}\. Upgrade"
    with pytest.raises(CorruptionError, match=message) as caught:
        read_manifest(tmp_path)
    assert caught.value.reason == "newer-version"


@pytest.mark.parametrize("data", [[], {}, 7, {"manifest_version": "1"}, None])
def test_other_projects_manifest_is_refused(tmp_path: Path, data: Any) -> None:
    write_manifest(tmp_path, data)
    with pytest.raises(
        CorruptionError, match=r"is not a segdata manifest: it has no v"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", manifest_of([]).to_bytes()[:-3]])
def test_truncated_manifest_is_refused(tmp_path: Path, text: bytes) -> None:
    write_manifest(tmp_path, text)
    with pytest.raises(CorruptionError, match=r"manifest\.json is not JSON"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"splits": []},
        {"splits": {"train": {}}},
        {"splits": {"train": 7}},
        {"label_map": {}},
        {"label_map": None},
    ],
)
def test_manifest_with_a_part_missing_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_manifest(tmp_path, manifest_json(**changes))
    with pytest.raises(CorruptionError, match=r"is not a segdata manifest: \w+Error"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"color": [1, 2]}, {"id": 300}, {"id": 1}], ids=str
)
def test_manifest_with_an_impossible_class_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    data = manifest_json()
    data["label_map"]["semantic_classes"][0].update(changes)
    write_manifest(tmp_path, data)
    with pytest.raises(CorruptionError, match=r"is not a segdata manifest"):
        read_manifest(tmp_path)


# --- sums ---


def test_splits_sum_up_their_shards() -> None:
    rejects = tuple(
        Reject(key=k, split="train", image=k, reason=r, stage="encode", message="m")
        for k, r in (
            ("x", "label-missing"),
            ("y", "image-missing"),
            ("z", "label-missing"),
        )
    )
    one = receipt(
        "t0",
        "train",
        "a",
        "b",
        rejects=rejects,
        counts=counts((4, 9), class_pixels=Counter({"10": 2, "9": 1}), voided_pixels=3),
    )
    two = receipt(
        "t1",
        "train",
        "c",
        counts=counts((2, 11), class_pixels=Counter({"9": 5}), voided_pixels=1),
    )
    empty = receipt("v0", "val")
    splits = summarize([one, two, empty])
    assert list(splits) == ["train", "val"]
    train = splits["train"]
    assert (train.num_records, train.num_bytes) == (3, 30)
    assert train.rejects == {"image-missing": 1, "label-missing": 2}
    assert (train.counts.heights, train.counts.widths) == ((2, 4), (9, 11))
    assert train.counts.voided_pixels == 4
    assert list(train.counts.to_json()["class_pixels"].items()) == [("9", 6), ("10", 2)]
    first = train.shards[0]
    assert (first.name, first.first_key, first.last_key) == ("t0", "a", "b")
    assert (splits["val"].shards[0].first_key, splits["val"].num_records) == (None, 0)
    assert splits["val"].counts.heights is None


def test_summing_leaves_the_receipts_as_they_were() -> None:
    one = receipt("t0", "train", "a", counts=counts((4, 9), notes=Counter({"n": 1})))
    before = dataclasses.replace(one, counts=Counts.from_json(one.counts.to_json()))
    summarize([one, receipt("t1", "train", "b", counts=counts((1, 1)))])
    assert one == before


# --- what the user says, and the schema ---


@pytest.mark.parametrize(
    "homepage", ["example.org", "ftp://a.b", "https://a b", "http://"]
)
def test_homepage_that_is_no_address_is_refused(homepage: str) -> None:
    with pytest.raises(OptionError, match=r"--homepage is .*: expected an address"):
        About(homepage=homepage)


def test_what_the_user_says_comes_back(tmp_path: Path) -> None:
    about = About(license="MIT", citation="@misc{a,\n}", description="d", homepage="")
    write_manifest(tmp_path, manifest_of([], about=about).to_bytes())
    assert read_manifest(tmp_path).about == about


def test_manifest_of_version_1_is_read_without_what_came_later(tmp_path: Path) -> None:
    data = manifest_json(manifest_version=1)
    for name in ("about", "source", "settings_sha256"):
        del data[name]
    found = read_manifest(write_manifest(tmp_path, data))
    assert (found.about, found.source) == (About(), SourceSummary())


def test_manifest_fits_its_schema(tiny_build: Path, check_manifest: Any) -> None:
    check_manifest(tiny_build)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fingerprint", "xyz"),
        ("unknown", 1),
        ("splits.train.num_records", -1),
        ("splits.train.shards", []),
        ("splits.train.counts.heights", [1]),
        ("about.homepage", "example.org"),
        ("options.on_error", "ignore"),
        ("scan_rejects", {"Not A Slug": 1}),
    ],
)
def test_schema_refuses_what_is_no_manifest(
    path: str, value: Any, tiny_build: Path, tmp_path: Path, check_manifest: Any
) -> None:
    data = orjson.loads((tiny_build / "manifest.json").read_bytes())
    *parents, last = path.split(".")
    inner = data
    for name in parents:
        inner = inner[name]
    inner[last] = value
    write_manifest(tmp_path, data)
    with pytest.raises(ValidationError):
        check_manifest(tmp_path)


def test_schema_describes_every_field(tiny_build: Path) -> None:
    schema = orjson.loads(
        (files("segdata.shards") / "manifest.schema.json").read_bytes()
    )
    data = orjson.loads((tiny_build / "manifest.json").read_bytes())
    assert schema["properties"].keys() == data.keys() == set(schema["required"])
    for name in ("source", "about"):
        assert schema["properties"][name]["properties"].keys() == data[name].keys()
    split = data["splits"]["train"]
    assert schema["$defs"]["split"]["properties"].keys() == split.keys()
    shard = split["shards"][0]
    assert schema["$defs"]["shard"]["properties"].keys() == shard.keys()
    item = data["label_map"]["semantic_classes"][0]
    assert schema["$defs"]["class"]["properties"].keys() == item.keys()


@pytest.mark.parametrize(
    "split", ["../../../x", "a/b", "", "a\nb", "{split.__class__}"]
)
def test_split_that_could_lead_out_of_a_folder_is_refused(
    tmp_path: Path, split: str
) -> None:
    data = orjson.loads(manifest_of([receipt(SHARD, split, "a")]).to_bytes())
    write_manifest(tmp_path, data)
    with pytest.raises(CorruptionError, match="is no name of a split"):
        read_manifest(tmp_path)


def test_shard_that_could_lead_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    write_manifest(
        tmp_path, manifest_of([receipt(f"../{SHARD}", "train", "a")]).to_bytes()
    )
    with pytest.raises(CorruptionError, match="is no name of a shard"):
        read_manifest(tmp_path)
