from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from PIL import Image

from segdata.building.splits import SplitChoice
from segdata.checking import diff
from segdata.checking.diff import BuildDifference, compare_builds
from segdata.cli import cli
from segdata.commands.diff import _short_pair
from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.formats.camvid.format import CamVid
from segdata.records import schema
from segdata.shards.manifest import About, Manifest, read_manifest

Build = Callable[..., Manifest]
IMAGE, LABEL = "train/train_002.png", "trainannot/train_002.png"
KEY = "train/train_002"


@pytest.fixture
def source(tiny_source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_source, tmp_path / "source")


def compare(first: Path, second: Path) -> BuildDifference:
    return compare_builds(first, second, lambda count: None)


def keys(found: BuildDifference, kind: str) -> list[str]:
    return [item.key for item in found.of_kind(kind)]


def forget_the_source(found: BuildDifference) -> dict[str, Any]:
    return {k: v for k, v in found.settings.items() if k != "source.sha256"}


def test_equal_builds_have_no_difference_and_no_record_is_read(
    tiny_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(tiny_build, tmp_path / "copy")
    monkeypatch.setattr(diff, "read_record_at", None)
    found = compare(tiny_build, copy)
    assert found.is_empty
    assert found.to_json()["equal"] is True


def test_changed_label_is_one_record_with_its_features(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    Image.fromarray(np.full((24, 32), 3, np.uint8)).save(source / LABEL)
    build_plainly(source, tmp_path / "b", num_shards=2)
    found = compare(tiny_build, tmp_path / "b")
    [item] = found.records
    assert item.key == KEY
    assert item.before == item.after
    names = {schema.LABEL_VALUES.key, schema.LABEL_LENGTHS.key}
    assert set(item.features) == names
    assert forget_the_source(found) == found.classes == {}


def test_changed_image_names_its_bytes_and_hash(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    shutil.copy(source / "train" / "train_001.png", source / IMAGE)
    build_plainly(source, tmp_path / "b", num_shards=2)
    [item] = compare(tiny_build, tmp_path / "b").records
    assert set(item.features) == {schema.ENCODED.key, schema.SHA256.key}


def test_added_and_removed_records_are_told_apart(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    for folder in ("train", "trainannot"):
        (source / folder / "train_002.png").rename(source / folder / "other.png")
    lines = (source / "train.txt").read_text().replace("train_002", "other")
    (source / "train.txt").write_text(lines)
    build_plainly(source, tmp_path / "b", num_shards=2)
    found = compare(tiny_build, tmp_path / "b")
    assert keys(found, "removed") == [KEY]
    assert keys(found, "added") == ["train/other"]
    assert keys(found, "changed") == keys(found, "moved") == []
    assert keys(compare(tmp_path / "b", tiny_build), "added") == [KEY]


def test_other_number_of_shards_moves_records_and_changes_none(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    build_plainly(source, tmp_path / "b", num_shards=3)
    found = compare(tiny_build, tmp_path / "b")
    assert len(keys(found, "moved")) == 8
    assert keys(found, "changed") == []
    assert found.settings["options.num_shards"] == (2, 3)
    assert found.settings["shards.train"] == (2, 3)
    assert "source.sha256" not in found.settings  # it knows no shards


def test_record_that_changed_its_split_is_moved(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    split = SplitChoice.parse("train=0.5,val=0.5")
    build_plainly(source, tmp_path / "b", num_shards=2, split=split)
    moved = compare(tiny_build, tmp_path / "b").of_kind("moved")
    crossed = [
        m for m in moved if m.before and m.after and m.before.split != m.after.split
    ]
    assert crossed


def test_classes_and_what_the_user_says_are_compared(
    tiny_build: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_build, tmp_path / "copy")
    manifest = read_manifest(copy)
    first, *others = manifest.label_map.semantic_classes
    label_map = replace(
        manifest.label_map, semantic_classes=(replace(first, name="heaven"), *others)
    )
    changed = replace(manifest, label_map=label_map, about=About(license="MIT"))
    (copy / "manifest.json").write_bytes(changed.to_bytes())
    found = compare(tiny_build, copy)
    assert found.settings == {"about.license": ("", "MIT")}
    before, after = found.classes["semantic 0"]
    assert (before["name"], after["name"]) == ("sky", "heaven")
    assert found.records == ()


def test_other_options_of_the_format_show_in_the_classes(
    tiny_build: Path, tiny_source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    form = CamVid(classes="camvid-11")
    build_plainly(tiny_source, tmp_path / "b", num_shards=2, dataset_format=form)
    found = compare(tiny_build, tmp_path / "b")
    assert found.classes["semantic 11"][1] is None
    assert found.classes["semantic 255"][0] is None
    assert len(found.of_kind("changed")) > 0


def test_damaged_record_is_named(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    build_plainly(source, tmp_path / "b", num_shards=3)
    shard = max((tmp_path / "b").glob("camvid-*"), key=lambda p: p.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptionError, match=rf"{shard.name}: record 0 is damaged"):
        compare(tiny_build, tmp_path / "b")


def test_directory_without_a_build_is_refused(tiny_build: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds no finished build"):
        compare(tiny_build, tmp_path)


# --- the command ---


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["diff", *map(str, arguments)])


def test_command_ends_with_0_where_builds_are_equal(tiny_build: Path) -> None:
    result = run(tiny_build, tiny_build)
    assert result.exit_code == 0
    assert result.stdout == f"{tiny_build} and {tiny_build} are equal\n"


def test_command_ends_with_1_and_lists_what_differs(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    Image.fromarray(np.full((24, 32), 3, np.uint8)).save(source / LABEL)
    build_plainly(source, tmp_path / "b", num_shards=2)
    result = run(tiny_build, tmp_path / "b")
    assert result.exit_code == 1
    assert "records changed: 1\n  ~ train train/train_002: image/seg" in result.stdout
    data = orjson.loads(run(tiny_build, tmp_path / "b", "--json").stdout)
    assert data["equal"] is False
    assert data["counts"] == {"added": 0, "removed": 0, "changed": 1, "moved": 0}
    assert data["records"][0]["key"] == KEY


def test_command_shows_as_many_records_as_asked_for(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    build_plainly(source, tmp_path / "b", num_shards=3)
    lines = run(tiny_build, tmp_path / "b", "--limit=2").stdout.splitlines()
    assert "records moved: 8" in lines
    assert lines[-1] == "  ... and 6 more"
    assert sum(line.startswith("  > ") for line in lines) == 2


def test_verdict_comes_first_and_limit_goes_for_settings_too(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    build_plainly(source, tmp_path / "b", num_shards=3)
    result = run(tiny_build, tmp_path / "b", "--limit=1")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f"{tiny_build} and {tmp_path / 'b'} differ (records equal);"
    )
    assert "records moved: 8, settings: 3" in lines[0]
    assert lines[1:4] == [
        "settings that differ: 3",
        "  options.num_shards: 2 -> 3",
        "  ... and 2 more",
    ]
    assert result.exit_code == 1
    records = run(tiny_build, tmp_path / "b", "--records")
    assert (records.exit_code, "settings that" in records.stdout) == (0, False)


def test_records_of_another_split_or_content_are_not_equal(
    tiny_build: Path, source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    Image.fromarray(np.full((24, 32), 3, np.uint8)).save(source / LABEL)
    build_plainly(source, tmp_path / "b", num_shards=2)
    result = run(tiny_build, tmp_path / "b", "--records")
    assert result.exit_code == 1
    assert "differ; records changed: 1" in result.stdout
    assert "(records equal)" not in result.stdout


def test_long_values_are_cut_to_where_they_differ() -> None:
    warnings = tuple(f"{'w' * 200}{end}{'z' * 90}" for end in "ab")
    first, second = _short_pair(*warnings)
    assert first == f"...{'w' * 20}a{'z' * 39}..."
    assert second == f"...{'w' * 20}b{'z' * 39}..."
    assert _short_pair("1", "2") == ("1", "2")


def test_command_ends_with_2_where_a_build_cannot_be_read(
    tiny_build: Path, tmp_path: Path
) -> None:
    result = run(tiny_build, tmp_path)
    assert isinstance(result.exception, OptionError)  # `main` makes it exit code 2
    assert result.exception.reason == "no-manifest"
