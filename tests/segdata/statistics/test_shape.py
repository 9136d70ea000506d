from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import orjson
import pytest
from fuzz.mutate import mutate_json

import segdata
from segdata.commands.stats import _print
from segdata.errors import CorruptionError, OutputError, SegdataError
from segdata.report.page import render_report
from segdata.statistics.stats_file import read_stats


@pytest.fixture(scope="module")
def out(tiny_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = shutil.copytree(tiny_build, tmp_path_factory.mktemp("shape") / "out")
    segdata.stats(copy)
    return copy


@pytest.fixture
def rewrite(out: Path):
    path = out / "stats.json"
    before = path.read_bytes()
    yield path.write_bytes
    path.write_bytes(before)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("splits", "train", "images"), "3", r"splits.*images is '3': expected"),
        (("splits", "train", "channels", "mean"), [1], r"channels.mean is \[1\]"),
        (("splits", "train", "findings"), {"a": 1}, "is 1: expected an object"),
        (("splits", "val"), None, "expected an object"),
        (("splits",), {}, "splits are not those of the manifest"),
        (("duplicates",), {}, "duplicates has no 'within_splits'"),
        (("splits", "train", "image_sizes", "aspect_ratios", "edges"), [], "bins"),
        (("splits", "train", "object_sizes", "histogram"), [], "not of 16 bins"),
    ],
)
def test_statistics_of_another_shape_are_refused(
    out: Path, rewrite, keys, value, message
) -> None:
    data = orjson.loads((out / "stats.json").read_bytes())
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    rewrite(orjson.dumps(data))
    with pytest.raises(CorruptionError, match=message) as caught:
        read_stats(out)
    assert "Run `segdata stats " in str(caught.value)


def test_examples_beyond_the_split_are_refused(out: Path, rewrite) -> None:
    data = orjson.loads((out / "stats.json").read_bytes())
    row = data["splits"]["train"]["semantic_classes"][0]
    row["examples"] = [{"key": "a", "position": 100}]
    rewrite(orjson.dumps(data))
    with pytest.raises(CorruptionError, match="records beyond those that it counted"):
        read_stats(out)


def test_what_is_read_can_be_printed_and_drawn(out: Path, rewrite) -> None:
    before = (out / "stats.json").read_bytes()
    refused = 0
    for seed in range(400):
        rewrite(mutate_json(before, 1 << 20, seed) or b"")
        try:
            found = read_stats(out)
        except (CorruptionError, OutputError):
            refused += 1
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            _print(found)
        if seed % 40 == 0:
            with contextlib.suppress(SegdataError):
                render_report(segdata.open(out))
    assert 100 < refused < 400
