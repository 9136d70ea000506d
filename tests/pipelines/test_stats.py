from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO

import segdata
from segdata.cli import cli
from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.shards.receipt import read_receipt
from segdata.statistics.counting import stats
from segdata.statistics.stats_file import StatsOptions, read_stats


def compute(out: Path, workers: int = 1, **options: Any) -> dict[str, Any]:
    # Not at the top: collecting tests needs no Beam.
    from segdata.pipelines.on_beam import OnBeam
    from segdata.pipelines.runner_options import RunnerOptions

    on_beam = OnBeam(RunnerOptions(workers=workers))
    return stats(out, run_shards=on_beam, **options)


@pytest.fixture
def out(source: Path, tmp_path: Path, run_build: Callable[..., Any]) -> Path:
    run_build(source, tmp_path / "out")
    return tmp_path / "out"


def copied(build: Path, tmp_path: Path) -> Path:
    """A copy to change: other tests use the build too."""
    return Path(shutil.copytree(build, tmp_path / "out"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["stats", *map(str, arguments)])


def rows(split: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in split[table]}


# --- The same numbers by another way, from the sources.


def test_camvid_pixels_are_those_of_its_label_images(
    shared_data: Path, real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out = copied(real_build("camvid"), tmp_path)
    found = compute(out, pixels="none")
    for split in ("train", "val"):
        counts, images, present = np.zeros(12), np.zeros(12), np.zeros(12)
        for path in (shared_data / "camvid" / f"{split}annot").glob("*.png"):
            labels = np.array(Image.open(path))
            here = np.bincount(labels.reshape(-1), minlength=12)
            counts += here
            images += here > 0
            present += (here > 0) * labels.size
        classes = found["splits"][split]["semantic_classes"]
        assert [row["pixels"] for row in classes] == counts.tolist()
        assert [row["images"] for row in classes] == images.tolist()
        frequencies = counts[:11] / present[:11]
        weights = np.median(frequencies) / frequencies
        given = [row["median_frequency_weight"] for row in classes[:11]]
        np.testing.assert_allclose(given, weights)
        assert classes[11]["is_ignored"]
        assert classes[11]["median_frequency_weight"] is None
    assert found["splits"]["train"]["image_sizes"]["most_frequent"] == [
        {"width": 480, "height": 360, "images": 367}
    ]


def test_coco_objects_areas_and_masks_are_those_of_its_json(
    shared_data: Path, real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    found = compute(copied(real_build("coco"), tmp_path), pixels="none")
    coco = COCO(str(shared_data / "coco/annotations/instances.json"))
    annotations = list(coco.anns.values())
    split = found["splits"]["train"]
    assert split["images"] == len(coco.imgs)
    assert split["objects"] == len(annotations)
    assert split["crowds"] == sum(a["iscrowd"] for a in annotations)
    assert split["empty_images"] == len(coco.imgs) - len(
        {a["image_id"] for a in annotations}
    )
    areas = np.array([a["area"] for a in annotations])
    sizes = split["object_sizes"]
    assert sizes["small"] == (areas < 32**2).sum()
    assert sizes["large"] == (areas >= 96**2).sum()
    assert sum(sizes["histogram"]) == len(annotations)
    names = {category["id"]: category["name"] for category in coco.cats.values()}
    objects = Counter(names[a["category_id"]] for a in annotations)
    pixels: Counter[str] = Counter()
    for annotation in annotations:
        pixels[names[annotation["category_id"]]] += int(
            mask.area(coco.annToRLE(annotation))
        )
    classes = rows(split, "object_classes")
    assert {name: row["objects"] for name, row in classes.items()} == {
        name: objects[name] for name in names.values()
    }
    assert {n: row["mask_pixels"] for n, row in classes.items() if pixels[n]} == dict(
        pixels
    )
    images = Counter(
        name
        for name, _ in {(names[a["category_id"]], a["image_id"]) for a in annotations}
    )
    assert {n: row["images"] for n, row in classes.items() if images[n]} == dict(images)


def test_channels_of_all_images_are_exact_and_those_of_a_sample_near(
    make_segnet: Callable[..., Path], run_build: Callable[..., Any], tmp_path: Path
) -> None:
    source, out = make_segnet(tmp_path / "source", num_train=160), tmp_path / "out"
    run_build(source, out)
    paths = sorted((source / "train").iterdir())
    pixels = np.concatenate(
        [np.asarray(Image.open(path)).reshape(-1, 3) for path in paths]
    ).astype(np.float64)
    exact = compute(out, pixels="all")["splits"]["train"]["channels"]
    assert exact["is_exact"]
    np.testing.assert_allclose(exact["mean"], pixels.mean(axis=0))
    np.testing.assert_allclose(exact["std"], pixels.std(axis=0))
    sample = compute(out, sample_size=60)["splits"]["train"]["channels"]
    assert 40 < sample["images"] < 80
    errors = np.abs(np.array(sample["mean"]) - exact["mean"])
    assert (errors < 3 * np.array(sample["standard_error"])).all()
    assert max(sample["standard_error"]) < 8


# --- Determinism, state, errors.


def test_bytes_do_not_depend_on_the_workers(out: Path) -> None:
    compute(out, workers=1, pixels="all")
    one = (out / "stats.json").read_bytes()
    compute(out, workers=2, pixels="all")
    assert (out / "stats.json").read_bytes() == one


def test_one_worker_of_this_machine_needs_no_beam(out: Path) -> None:
    program = (
        "import sys\n"
        "from segdata.cli import cli\n"
        f"cli(['stats', {str(out)!r}, '--workers=1'], standalone_mode=False)\n"
        "assert 'apache_beam' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert found.returncode == 0, found.stderr.decode()
    assert b"semantic classes" in found.stdout


def test_stats_are_read_back_from_the_dataset(out: Path) -> None:
    with pytest.raises(OutputError, match=r"has no statistics.*segdata stats"):
        _ = segdata.open(out).stats
    found = compute(out)
    assert segdata.open(out).stats == found
    assert found["splits"]["train"]["channels"]["is_exact"]


def test_overwriting_a_build_removes_its_statistics(
    out: Path, source: Path, run_build: Callable[..., Any]
) -> None:
    compute(out)
    run_build(source, out, overwrite=True, seed=1)
    assert not (out / "stats.json").exists()


def test_counting_again_keeps_what_is_not_stated(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def counted(**options: Any) -> tuple[str, int]:
        noted = segdata.stats(out, **options)["pixels"]
        return noted["mode"], noted["sample_size"]

    assert counted() == ("sample", 200)
    assert counted(sample_size=2) == ("sample", 2)
    caplog.set_level("INFO")
    assert counted() == ("sample", 2)
    assert caplog.messages == ["counting as before: --pixels sample --sample-size 2"]
    assert counted(pixels="all") == ("all", 2)
    assert counted() == ("all", 2)
    assert counted(pixels="sample") == ("sample", 2)
    (out / "stats.json").write_bytes(b'{"pixels": {"mode": "some"}}')
    assert counted() == ("sample", 200)


def test_updating_a_build_tells_that_its_statistics_go(
    out: Path,
    source: Path,
    run_build: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    segdata.stats(out)
    caplog.set_level("INFO")
    run_build(source, out, update=True)
    assert (out / "stats.json").exists()
    image = source / "train" / "train_000.png"
    Image.new("RGB", (32, 24)).save(image)
    run_build(source, out, update=True)
    assert not (out / "stats.json").exists()
    assert (
        f"{out}/stats.json told of the build as it was, and is removed: run `segd"
        in (caplog.text)
    )


def test_statistics_of_another_build_are_refused(out: Path) -> None:
    compute(out)
    data = orjson.loads((out / "stats.json").read_bytes())
    (out / "stats.json").write_bytes(orjson.dumps({**data, "fingerprint": "other"}))
    with pytest.raises(OutputError, match="tells of another build"):
        read_stats(out)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"{", CorruptionError, "is not JSON"),
        (b"[]", OutputError, "is of version None: expected 1"),
        (b'{"stats_version": 99}', OutputError, "is of version 99: expected 1"),
    ],
)
def test_statistics_that_cannot_be_read(
    out: Path, content: bytes, error: type[Exception], words: str
) -> None:
    (out / "stats.json").write_bytes(content)
    with pytest.raises(error, match=words):
        read_stats(out)


def test_damaged_record_is_named_and_old_statistics_stay(out: Path) -> None:
    compute(out)
    before = (out / "stats.json").read_bytes()
    shard = min(out.glob("*train.tfrecord-*"))
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptionError, match=f"{shard.name}: record 0 is damaged"):
        compute(out)
    assert (out / "stats.json").read_bytes() == before


def test_shard_that_lost_a_record_is_not_counted_as_whole(out: Path) -> None:
    shard = min(out.glob("*train.tfrecord-*"))
    entry = read_receipt(out, shard.name).records[-1]
    shard.write_bytes(shard.read_bytes()[: entry.offset])
    with pytest.raises(CorruptionError, match="'train' has 5 records: expected 6"):
        compute(out)


def test_duplicates_within_and_across_splits_are_named(
    tmp_path: Path, source: Path, run_build: Callable[..., Any]
) -> None:
    image = source / "train/train_000.png"
    shutil.copy(image, source / "train/train_001.png")
    shutil.copy(image, source / "val/val_000.png")
    shutil.copy(source / "val/val_001.png", source / "val/val_002.png")
    run_build(source, tmp_path / "out")
    found = compute(tmp_path / "out", pixels="none")["duplicates"]
    assert found["across_splits"]["groups"] == [
        ["train/train/train_000", "train/train/train_001", "val/val/val_000"]
    ]
    assert found["within_splits"]["groups"] == [["val/val/val_001", "val/val/val_002"]]


def test_no_build_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no finished build"):
        compute(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"pixels": "some"}, "--pixels is 'some'"), ({"sample_size": 0}, "at least 1")],
)
def test_bad_options_are_refused_early(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        StatsOptions(**options)


def test_sample_takes_about_as_many_as_asked_for() -> None:
    options = StatsOptions(sample_size=100)
    taken = sum(options.takes(f"key {n}", 10_000) for n in range(10_000))
    assert 70 < taken < 130
    assert all(options.takes(f"key {n}", 100) for n in range(100))


def test_examples_point_to_their_records(out: Path) -> None:
    found = compute(out)
    dataset = segdata.open(out)
    for name, split in found["splits"].items():
        for row in split["semantic_classes"]:
            for example in row["examples"]:
                record = dataset[name][example["position"]]
                assert record.key == example["key"]
                assert row["id"] in record.label_values


def test_command_prints_what_it_counted(out: Path) -> None:
    result = run(out, "--pixels=all")
    assert result.exit_code == 0, result.output
    assert "train: semantic classes" in result.output
    assert f"wrote {out / 'stats.json'}" in result.output
    printed = run(out, "--json", "--workers=1")
    assert json.loads(printed.stdout) == read_stats(out)
