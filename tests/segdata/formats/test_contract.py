"""What every format keeps: one test file for all of them."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import segdata
from segdata.annotations import record_key
from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.commands.sample import SAMPLES
from segdata.errors import OptionError, SourceError
from segdata.formats import FORMATS, format_class
from segdata.label_map import LabelMap
from segdata.storage.paths import locate
from segdata.validation import validate_annotation


@pytest.fixture(scope="module", params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def drawn(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn sample in the format's own layout."""
    module, _, function = SAMPLES[name].partition(":")
    folder = tmp_path_factory.mktemp(name) / "drawn"
    write = getattr(importlib.import_module(module), function)
    write(folder, seed=1, num_train=3, num_val=2)
    return folder


def test_name_of_the_class_is_the_name_in_the_table(name: str) -> None:
    assert format_class(name).name == name


def test_summary_is_one_short_line(name: str) -> None:
    summary = format_class(name).summary
    assert summary.endswith(".")
    assert 10 < len(summary) <= 80
    assert "\n" not in summary


def test_class_is_a_frozen_dataclass_of_optional_fields_with_help(name: str) -> None:
    cls = format_class(name)
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    fields = dataclasses.fields(cls)
    helps = {field.name: field.metadata.get("help", "") for field in fields}
    sentence = re.compile(r"[A-Z].+\.( \[default: .+\])?")
    assert [n for n, text in helps.items() if not sentence.fullmatch(text)] == []
    assert all(field.default is not dataclasses.MISSING for field in fields)


def test_format_with_all_its_options_reaches_other_processes(name: str) -> None:
    one = format_class(name)()
    assert pickle.loads(pickle.dumps(one)) == one


def test_every_format_has_a_drawn_sample(name: str) -> None:
    assert name in SAMPLES


def test_scan_of_the_sample_gives_unique_keys_and_valid_dicts(
    name: str, drawn: Path
) -> None:
    annotations = list(format_class(name)().scan(drawn).annotations)
    assert len(annotations) == 5
    for annotation in annotations:
        validate_annotation(annotation)
        assert (drawn / annotation["image"]).is_file()
    assert len({record_key(a) for a in annotations}) == 5


def test_scan_of_the_sample_gives_disjoint_splits(name: str, drawn: Path) -> None:
    by_split: dict[str, set[str]] = {}
    for annotation in format_class(name)().scan(drawn).annotations:
        split = by_split.setdefault(annotation.get("split", "train"), set())
        split.add(annotation["image"])
    first, second = by_split.values()  # in the order they are written
    assert (len(first), len(second)) == (3, 2)
    assert first.isdisjoint(second)


def test_scan_of_the_sample_tells_its_layout_and_its_classes(
    name: str, drawn: Path
) -> None:
    scan = format_class(name)().scan(drawn)
    assert scan.layout
    assert "\n" not in scan.layout
    assert len(scan.label_map) >= 1
    assert LabelMap.from_json(scan.label_map.to_json()) == scan.label_map


def test_two_scans_give_the_same_plan(name: str, drawn: Path) -> None:
    plans = [
        make_plan(format_class(name)().scan(drawn), drawn, name, BuildOptions())
        for _ in range(2)
    ]
    assert plans[0] == plans[1]


def test_order_of_the_annotations_is_no_matter(name: str, drawn: Path) -> None:
    scan = format_class(name)().scan(drawn)
    annotations = list(scan.annotations)
    plans = [
        make_plan(
            dataclasses.replace(scan, annotations=ordered), drawn, name, BuildOptions()
        )
        for ordered in (annotations, annotations[::-1])
    ]
    assert plans[0].shards == plans[1].shards
    assert dict(plans[0].lines) == dict(plans[1].lines)


def test_empty_folder_is_refused_with_what_was_expected(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"expected .+"):
        format_class(name)().scan(tmp_path)


def test_drawn_sample_is_recognised(name: str, drawn: Path) -> None:
    guess = format_class(name).recognize(drawn)
    assert guess is not None
    assert "\n" not in guess.title
    assert 5 < len(guess.title) < 200
    found = list(format_class(name)(**guess.options).scan(drawn).annotations)
    assert len(found) == 5


def test_empty_folder_is_not_recognised(name: str, tmp_path: Path) -> None:
    assert format_class(name).recognize(tmp_path) is None


def test_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"'camvit': known are camvid, .*'camvid'\?"):
        format_class("camvit")


@pytest.mark.parametrize("below", ["out", "a/out"])
def test_output_in_the_source_is_no_part_of_it(
    name: str, below: str, drawn: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(drawn, tmp_path / "source"))
    first = segdata.build(name, source, source / below)
    assert segdata.build(name, source, source / below).to_bytes() == first.to_bytes()
    (source / below / ".segdata").mkdir()  # as while it was built
    (source / below / "index").rename(source / below / "other")
    anew = segdata.build(name, source, tmp_path / "out")
    assert anew.to_bytes() == first.to_bytes()


def test_sample_in_a_store_gives_the_same_annotations(
    name: str, drawn: Path, s3: Any
) -> None:
    there = locate(s3.upload(drawn, f"contract-{name}"))
    assert format_class(name).recognize(there) is not None
    here, scan = (format_class(name)().scan(place) for place in (drawn, there))
    assert list(scan.annotations) == list(here.annotations)
    assert (scan.label_map, scan.warnings) == (here.label_map, here.warnings)
