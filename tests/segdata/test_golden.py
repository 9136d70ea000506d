"""Builds of earlier versions: opened, verified, streamed, exported, updated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

import segdata
from segdata.exports import export_class
from segdata.formats import FORMATS

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MASKS = {"coco": "rle,png"}
SPLIT = {"pets": "trainval"}
NUM_RECORDS = {"pets": 4}
EXPORT = {"camvid": "png", "coco": "coco", "mask-folder": "png", "pets": "pets"}


@pytest.fixture(
    scope="module",
    params=sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()),
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def out(name: str, tmp_path: Path) -> Path:
    """A copy: updating writes into it."""
    return shutil.copytree(GOLDEN / name / "records", tmp_path / "golden")


@pytest.fixture(scope="module")
def anew(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build by this version."""
    out = tmp_path_factory.mktemp("anew") / "out"
    masks = MASKS.get(name, "rle")
    segdata.build(name, GOLDEN / name / "source", out, num_shards=1, masks=masks)
    return out


def test_every_format_of_that_version_has_one() -> None:
    names = {path.name for path in GOLDEN.iterdir() if path.is_dir()}
    assert names == {"camvid", "coco", "mask-folder", "pets"} <= set(FORMATS)
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*")) < 1 << 20


def test_it_names_no_path_of_a_machine(name: str) -> None:
    for path in (GOLDEN / name / "records").rglob("*.json"):
        assert b"/tmp" not in path.read_bytes()
        assert b"/home" not in path.read_bytes()


def test_it_is_whole(name: str, out: Path) -> None:
    found = segdata.verify(out)
    assert (found.num_records, found.problems) == (NUM_RECORDS.get(name, 3), ())
    assert segdata.verify(out, fast=True).problems == ()


def test_its_records_hold_what_a_build_of_today_holds(out: Path, anew: Path) -> None:
    old, new = segdata.open(out), segdata.open(anew)
    assert dict(old.classes) == dict(new.classes)
    assert list(old.splits) == list(new.splits)
    for before, after in zip(old, new, strict=True):
        assert before.key == after.key
        # Images that are encoded anew have other bytes since, of the same pixels.
        if "gif-converted" not in before.notes:
            assert before.sha256 == after.sha256
        np.testing.assert_array_equal(before.image(), after.image())
        labels, expected = before.label_map(), after.label_map()
        assert (labels is None) == (expected is None)
        if labels is not None and expected is not None:
            np.testing.assert_array_equal(labels, expected)
        assert len(before.objects) == len(after.objects)
        for one, other in zip(before.objects, after.objects, strict=True):
            assert (one.label, one.box) == (other.label, other.box)
            np.testing.assert_array_equal(one.runs, other.runs)


def test_its_numbers_are_those_of_today(out: Path, anew: Path) -> None:
    old = segdata.open(out).stats["splits"]
    new = orjson.loads(orjson.dumps(segdata.stats(anew)["splits"]))
    for split, numbers in old.items():
        for key in ("images", "objects", "image_sizes", "channels"):
            assert numbers.get(key) == new[split].get(key)
    segdata.stats(out)


@pytest.mark.parametrize("name", ["camvid", "mask-folder", "pets"], indirect=True)
def test_its_label_maps_are_streamed(name: str, out: Path) -> None:
    split = SPLIT.get(name, "train")
    size = {"image_size": (90, 120)}  # that of CamVid's images
    stream = segdata.read_semantic(out, split, batch_size=1, **size)
    for batch, record in zip(stream, segdata.open(out)[split], strict=True):
        if name == "camvid":
            np.testing.assert_array_equal(batch["image"][0], record.image())
            np.testing.assert_array_equal(batch["label_map"][0], record.label_map())
        assert {*np.unique(batch["label_map"])} <= {*np.unique(record.label_map())}


@pytest.mark.parametrize("name", ["coco", "pets"], indirect=True)
def test_its_objects_are_streamed(name: str, out: Path) -> None:
    split = SPLIT.get(name, "train")
    size = {"image_size": (64, 64)}
    stream = segdata.read_instances(out, split, batch_size=1, **size)
    for batch, record in zip(stream, segdata.open(out)[split], strict=True):
        classes = batch["classes"][0].numpy()[batch["valid"][0].numpy()]
        assert sorted(classes) == sorted(item.label for item in record.objects)


def test_it_is_exported(name: str, out: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    target = export_class(EXPORT[name])()
    report = target.write(segdata.open(out), tmp_path / "files", lambda count: None)
    assert report.num_records == NUM_RECORDS.get(name, 3)


def test_it_is_updated_to_what_a_build_of_today_is(
    name: str,
    out: Path,
    anew: Path,
    file_hashes: Callable[[Path], dict[str, str]],
) -> None:
    source = GOLDEN / name / "source"
    masks = MASKS.get(name, "rle")
    segdata.build(name, source, out, num_shards=1, masks=masks, update=True)
    updated, expected = file_hashes(out), file_hashes(anew)
    for hashes in (updated, expected):
        hashes.pop("stats.json", None)  # made by another command
    assert updated == expected
    assert segdata.verify(out).problems == ()


def test_its_update_says_that_the_formats_options_are_not_known(
    name: str, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "format" not in segdata.open(out).manifest.options
    caplog.set_level("INFO", "segdata")
    segdata.build(name, GOLDEN / name / "source", out, update=True)
    line = "does not say with which options of the format it was built: those that are"
    assert line in caplog.text
    assert "format" in segdata.open(out).manifest.options
