from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import segdata
from segdata.cli import cli
from segdata.drawing.draw import DrawnObject, draw_objects
from segdata.drawing.records import picture_of
from segdata.errors import OptionError
from segdata.samples.coco import write_coco_sample


def show(out: Path, folder: Path, *arguments: str) -> Result:
    picture = str(folder / "grid.png")
    return CliRunner().invoke(
        cli, ["show", str(out), f"--output={picture}", *arguments]
    )


def drawn(out: Path, folder: Path, *arguments: str) -> bytes:
    result = show(out, folder, *arguments)
    assert result.exception is None, result.exception
    return (folder / "grid.png").read_bytes()


def test_index_and_key_draw_the_same_record(tiny_build: Path, tmp_path: Path) -> None:
    source = segdata.open(tiny_build)["train"]
    by_key = drawn(tiny_build, tmp_path, f"--key={source.keys[3]}")
    assert drawn(tiny_build, tmp_path, "--index=3") == by_key
    assert drawn(tiny_build, tmp_path, "--index=-2") == by_key
    assert drawn(tiny_build, tmp_path, "--index=2") != by_key


def test_keypoints_are_drawn_and_explained(tmp_path: Path) -> None:
    write_coco_sample(tmp_path / "source", seed=0, num_train=8, num_val=1)
    for name, options in (("with", []), ("without", ["--keypoints=none"])):
        arguments = ["build", "coco", tmp_path / "source", tmp_path / name, *options]
        result = CliRunner().invoke(cli, [*map(str, arguments)])
        assert result.exception is None, result.exception
    pictures = {}
    for name in ("with", "without"):
        drawn(tmp_path / name, tmp_path, "--class=star")
        with Image.open(tmp_path / "grid.png") as picture:
            pictures[name] = np.array(picture)
    one, other = pictures["with"], pictures["without"]
    assert one.shape[0] == other.shape[0] + 27  # a line below the legend
    assert not np.array_equal(one[: len(other) - 24], other[:-24])


@pytest.mark.parametrize("index", [5, -6])
def test_index_outside_the_split_is_told(
    tiny_build: Path, tmp_path: Path, index: int
) -> None:
    error = show(tiny_build, tmp_path, f"--index={index}").exception
    assert isinstance(error, OptionError)
    assert "the split has 5 records, from 0 to 4" in str(error)


def test_class_draws_only_records_that_show_it(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out = real_build("coco")
    dogs = [
        position
        for position, record in enumerate(segdata.open(out)["train"])
        if any(item.name == "dog" for item in record.objects)
    ]
    expected = drawn(out, tmp_path, *(f"--index={i}" for i in dogs[:2]))
    assert drawn(out, tmp_path, "--class=dog", "--count=2") == expected


def test_class_of_pixels_counts_too(tiny_build: Path, tmp_path: Path) -> None:
    result = show(tiny_build, tmp_path, "--class=road", "--count=2")
    assert "2 records" in result.output


def test_unknown_class_suggests_near_ones(tiny_build: Path, tmp_path: Path) -> None:
    error = show(tiny_build, tmp_path, "--class=raod").exception
    assert isinstance(error, OptionError)
    assert "no class 'raod': did you mean road" in str(error)
    error = show(tiny_build, tmp_path, "--class=zzz").exception
    assert "no class 'zzz': expected one of sky, building, pole" in str(error)


def test_class_that_nothing_shows_is_told(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out = real_build("coco")
    names = {item.name for record in segdata.open(out) for item in record.objects}
    absent = next(name for name in segdata.open(out).classes if name not in names)
    error = show(out, tmp_path, f"--class={absent}").exception
    assert isinstance(error, OptionError)
    assert f"none of the selected records contains {absent!r}" in str(error)


def test_regions_of_pets_are_drawn_as_boxes(real_build: Callable[[str], Path]) -> None:
    dataset = segdata.open(real_build("pets"))
    record = next(r for r in dataset["trainval"] if r.regions)
    *_, head = picture_of(record, dataset.classes).objects
    assert head.name == "head (region)"
    assert head.mask is None
    assert head.box == record.regions[0].box


def changed(item: DrawnObject) -> np.ndarray:
    image = np.zeros((60, 80, 3), np.uint8)
    return (draw_objects(image, [item]) != 0).any(axis=2)


def test_stuff_has_no_box_and_a_box_without_mask_no_filling() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60] = 1
    box = (10.0, 10.0, 50.0, 70.0)

    def item(**options: object) -> np.ndarray:
        given = {"name": "n" * 40, "color": (255, 0, 0), "box": box, "mask": mask}
        return changed(DrawnObject(**{**given, **options}))

    thing, stuff, box_only = item(), item(is_thing=False), item(mask=None)
    bottom = thing[49, 10:70]
    assert bottom.all()
    assert not stuff[49].any()
    assert stuff[20:40, 20:60].all()
    assert box_only[49, 10:70].all()
    assert not box_only[20:40, 20:60].any()


def test_jpeg_by_suffix(tiny_build: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    CliRunner().invoke(cli, ["show", str(tiny_build), f"--output={path}"])
    with Image.open(path) as image:
        assert image.format == "JPEG"
