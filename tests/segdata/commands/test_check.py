"""What `segdata check` says of a folder, and how it ends."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from segdata.cli import cli
from segdata.errors import SegdataError
from segdata.samples.coco import write_coco_sample
from segdata.samples.mask_folder import write_mask_folder_sample


def run(*arguments: object, fails: bool = False) -> str:
    result = CliRunner().invoke(cli, ["check", *map(str, arguments)])
    if isinstance(result.exception, SegdataError):
        raise result.exception
    assert result.exit_code == int(fails), result.output
    return result.output


def test_whole_folder_is_described_and_its_command_works(tmp_path):
    write_coco_sample(tmp_path / "data", seed=0, num_train=3, num_val=2)
    told = run(tmp_path / "data")
    assert "images    5: train 3, val 2" in told
    assert "classes   8: circle, square" in told
    assert "2 shards" in told
    (command,) = [line for line in told.splitlines() if "segdata build" in line]
    words = [str(tmp_path / "out") if w == "OUT" else w for w in shlex.split(command)]
    assert CliRunner().invoke(cli, words[1:]).exit_code == 0
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_nothing_is_written(tmp_path, file_hashes):
    write_mask_folder_sample(tmp_path / "data", seed=0, num_train=2, num_val=1)
    before = file_hashes(tmp_path)
    run(tmp_path / "data")
    assert file_hashes(tmp_path) == before


def test_every_missing_file_is_named_up_to_the_limit(tmp_path):
    source = tmp_path / "data"
    write_coco_sample(source, seed=0, num_train=4, num_val=1)
    gone = sorted(source.glob("**/*.jpg"))[:3]
    for path in gone:
        path.unlink()
    told = run(source, "--limit", 2, fails=True)
    assert "3 images are missing" in told
    assert "and 1 more (--limit)" in told
    assert told.count(".jpg\n") == 2
    assert "OUT --on-error skip" in told


def test_every_problem_is_named(tmp_path):
    source = tmp_path / "data"
    write_coco_sample(source, seed=0, num_train=3, num_val=1)
    (path,) = source.glob("**/instances_train2017.json")
    path.write_text(path.read_text().replace('"image_id": 139,', '"image_id": 777,'))
    told = run(source, fails=True)
    assert "unknown image 777" in told


def test_large_images_are_told_with_the_remedy(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = np.zeros((10, 2400), np.uint8)
        pixels[:5] = 255
        Image.fromarray(pixels).save(tmp_path / "data" / name / "a.png")
    told = run(tmp_path / "data")
    assert "images are large, 10x2400 (height x width)" in told
    assert "--max-size 1024" in told


def test_other_format_is_said_to_be_none(tmp_path):
    write_coco_sample(tmp_path / "data", seed=0, num_train=1, num_val=1)
    told = run(tmp_path / "data", "--format", "pets", fails=True)
    assert "pets: not recognised at a glance" in told
    assert "1 problem" in told
    assert "segdata build" not in told


@pytest.mark.parametrize(
    ("name", "told"),
    [("a.zip", "a.zip is an archive"), ("gone", "there is nothing of that name")],
)
def test_file_is_no_folder(tmp_path, name, told):
    if name != "gone":
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(SegdataError, match=told):
        run(tmp_path / name)
