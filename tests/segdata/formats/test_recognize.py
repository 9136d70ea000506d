"""Which format a folder has: samples, real folders, folders a level off, wrong ones."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import segdata
from segdata.commands.sample import SAMPLES
from segdata.errors import SourceError
from segdata.formats.recognize import (
    build_command,
    recognize,
    recognize_around,
    the_one,
)
from segdata.storage.paths import locate

PLAIN = [name for name in SAMPLES if name != "camvid"]
"""Formats whose samples can be nothing else."""
FIELD = {
    "chasedb": ("mask-folder", 4),
    "drive": ("mask-folder", 4),
    "jpeg-masks": ("mask-folder", 4),
    "labelme-coco": ("coco", 3),
    "labelme-json": ("labelme", 3),
    "labelstudio-json": ("label-studio", 5),
    "labelstudio-windows": ("coco", 5),
    "labelstudio-yolo": ("yolo", 5),
    "cvat-masks": ("voc", 2),
    "labelme-voc": ("voc", 3),
    "membrane": ("mask-folder", 4),
    "roboflow-masks": ("mask-folder", 9),
}
"""Folder of the shared data -> its format, and images with annotations."""


def draw(name: str, folder: Path) -> Path:
    module, _, function = SAMPLES[name].partition(":")
    getattr(importlib.import_module(module), function)(
        folder, seed=1, num_train=3, num_val=1
    )
    return folder


@pytest.mark.parametrize("name", PLAIN)
def test_sample_of_a_format_is_that_format_and_no_other(tmp_path, name):
    draw(name, tmp_path / "data")
    found = the_one(tmp_path / "data")
    assert (found.format, found.folder) == (name, tmp_path / "data")


@pytest.mark.parametrize("name", PLAIN)
def test_auto_builds_the_same_bytes(tmp_path, name, file_hashes):
    source = draw(name, tmp_path / "data")
    found = the_one(source)
    segdata.build("auto", source, tmp_path / "auto")
    options = found.guess.options
    segdata.build(name, source, tmp_path / "named", format_options=options)
    assert file_hashes(tmp_path / "auto") == file_hashes(tmp_path / "named")


def test_layout_of_camvid_with_other_frames_may_be_anybodys(tmp_path):
    source = draw("camvid", tmp_path / "data")
    assert [c.format for c in recognize(source)] == ["camvid", "mask-folder"]


@pytest.mark.parametrize("name", ["camvid", "pets", "coco"])
def test_real_dataset_is_recognised(shared_data, name):
    assert the_one(shared_data / name).format == name


@pytest.mark.parametrize("name", ["mask-folder", "coco"])
def test_folder_a_level_off_is_found(tmp_path, name):
    source = draw(name, tmp_path / "data")
    above = the_one(tmp_path)
    assert above.format == name
    assert above.folder in (tmp_path, source)  # masks are looked for in both
    inner = next(path for path in sorted(source.iterdir()) if path.is_dir())
    if not recognize(inner):
        pytest.fail(f"{inner.name} of {name} leads nowhere")
    assert the_one(inner).format == name


@pytest.mark.parametrize("name", FIELD)
def test_folder_as_people_have_it_builds_at_once(shared_data, tmp_path, name):
    format, count = FIELD[name]
    source = shared_data / "field" / name
    assert the_one(source).format == format
    manifest = segdata.build("auto", source, tmp_path / "out")
    assert sum(split.num_records for split in manifest.splits.values()) == count
    assert not (tmp_path / "out" / "rejects.jsonl").exists()


def test_two_datasets_side_by_side_are_both_named(tmp_path):
    draw("coco", tmp_path / "a")
    draw("pets", tmp_path / "b")
    message = r"may be 2 things: .* build coco .*/a OUT; segdata build pets .*/b OUT"
    with pytest.raises(SourceError, match=message) as caught:
        the_one(tmp_path)
    assert caught.value.reason == "ambiguous"


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("a.txt", "a")


def _json(value: object):
    def write(folder: Path) -> None:
        (folder / "a.json").write_text(json.dumps(value))
        Image.new("RGB", (2, 2)).save(folder / "a.jpg")

    return write


def _images(folder: Path) -> None:
    for number in range(3):
        Image.new("RGB", (2, 2)).save(folder / f"{number}.jpg")


def _text(name: str, text: str = ""):
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return write


WRONG = {
    "below": (_text("a/b/c.nii.gz"), "a/b/c.nii.gz is of NIfTI volumes"),
    "via below": (
        _text("x/train/via.json", '{"_via_img_metadata": {}}'),
        "x/train/via.json: this is VIA's own JSON: export it as COCO",
    ),
    "rle table": (
        _text("train.csv", "ImageId,EncodedPixels\n"),
        "train.csv: this is of run lengths (RLE) in a table: draw them as PNG masks",
    ),
    "nuimages": (_text("v1.0/calibrated_sensor.json"), "this is of nuImages"),
    "brush": (_text("task-1-annotation-2-by-1-tag-a-0.png"), "Label Studio's brush"),
    "masks only": (_text("SegmentationClass/a.png"), "masks, and there are no images"),
    "bdd100k": (
        _json([{"name": "a.jpg", "labels": [{"category": "car"}]}]),
        "a.json: this is BDD100K's JSON",
    ),
    "empty": (lambda folder: None, "it has no files"),
    "archive": (_zip, "data.zip is an archive: unpack it, and give the folder"),
    "images only": (_images, "it has 3 files of .jpg"),
    "via": (_json({"_via_img_metadata": {}}), "a.json: this is VIA's own JSON"),
    "labelbox": (_json([{"data_row": {}}]), "a.json: this is Labelbox's own JSON"),
    "records": (
        lambda folder: (folder / "x.tfrecord").write_bytes(b""),
        "x.tfrecord is of TFRecords already",
    ),
    "arrays": (
        lambda folder: (folder / "masks.npy").write_bytes(b""),
        "masks.npy is of NumPy arrays: save them as PNGs",
    ),
    "binary": (
        lambda folder: (folder / "a.json").write_bytes(b"\xff\x00{"),
        "it has 1 file",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_folder_is_told_by_what_it_holds(tmp_path, name):
    folder = tmp_path / "outer" / "data"
    folder.mkdir(parents=True)
    write, told = WRONG[name]
    write(folder)
    with pytest.raises(SourceError) as caught:
        the_one(folder)
    assert told in str(caught.value)
    assert caught.value.reason == "not-recognised"


def test_build_of_segdata_is_told(camvid_build):
    with pytest.raises(SourceError, match="this is a finished build of segdata"):
        the_one(camvid_build)


def test_command_is_quoted_for_a_shell():
    options = {"semantic": True, "mask_suffix": "_a b", "classes": "c.txt"}
    assert build_command("coco", "my data", "OUT", options) == (
        "segdata build coco 'my data' OUT --semantic --mask-suffix '_a b' "
        "--classes c.txt"
    )


def test_folder_beside_a_dataset_is_no_part_of_it(tmp_path):
    draw("yolo", tmp_path / "data")
    (tmp_path / "data" / "other").mkdir()
    with pytest.raises(SourceError, match="no dataset is recognised"):
        the_one(tmp_path / "data" / "other")


def test_current_folder_has_one_above(tmp_path, monkeypatch):
    draw("coco", tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data" / "annotations")
    assert [c.folder.name for c in recognize_around(locate("."))] == ["data"]
