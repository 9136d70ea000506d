from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.sources import read_files
from segdata.errors import SourceError
from segdata.formats.base import Scan
from segdata.formats.cityscapes.classes import CLASSES
from segdata.formats.cityscapes.format import Cityscapes
from segdata.masks.rle import decode_label_map
from segdata.records.encode import EncodedRecord, encode_record

HEIGHT, WIDTH = 12, 20
LABELS = (7, 24, 26, 29, 0, 33)
OBJECTS = (7, 24000, 26, 29001, 0, 33002)


def rows(*values: int) -> NDArray[Any]:
    array = np.array([values[r * len(values) // HEIGHT] for r in range(HEIGHT)])
    return np.repeat(array[:, None], WIDTH, axis=1)


def draw(
    root: Path, *names: str, kind: str = "gtFine", has_objects: bool = True
) -> Path:
    for name in names:
        parts = [("leftImg8bit", "leftImg8bit", np.zeros((HEIGHT, WIDTH, 3), np.uint8))]
        parts.append((kind, f"{kind}_labelIds", rows(*LABELS).astype(np.uint8)))
        if has_objects:
            mask = rows(*OBJECTS).astype(np.uint16)
            parts.append((kind, f"{kind}_instanceIds", mask))
        for folder, ending, pixels in parts:
            path = root / folder / f"{name}_{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


NAME = "train/ulm/ulm_000000_000019"


def record_of(scan: Scan, root: Path) -> EncodedRecord:
    [annotation] = scan.annotations
    return encode_record(annotation, read_files(annotation, root), scan.label_map)


def column(record: EncodedRecord) -> list[int]:
    runs = record.label_runs
    assert runs is not None
    drawn = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
    found: list[int] = drawn[::2, 0].tolist()
    return found


def test_table_is_cityscapes_own() -> None:
    assert len(CLASSES) == 34
    trained = [train_id for _, train_id, _, _ in CLASSES if train_id != 255]
    assert trained == list(range(19))
    things = [index for index, (_, _, is_thing, _) in enumerate(CLASSES) if is_thing]
    assert things == list(range(24, 34))


def test_classes_of_training_have_their_ids_and_the_rest_is_void(
    tmp_path: Path,
) -> None:
    draw(tmp_path, NAME)
    scan = Cityscapes().scan(tmp_path)
    assert len(scan.label_map.semantic_classes) == 20
    assert scan.label_map["bicycle"] == 18
    assert scan.label_map.ignore_id == 255
    assert scan.label_map.semantic_classes[0].color == (128, 64, 128)
    record = record_of(scan, tmp_path)
    assert column(record) == [0, 11, 13, 255, 255, 18]
    assert record.notes == ()
    found = [(o.label.name, o.annotation.get("iscrowd", 0)) for o in record.objects]
    assert found == [("car", 1), ("person", 0), ("bicycle", 0)]


def test_all_34_classes_keep_their_ids(tmp_path: Path) -> None:
    draw(tmp_path, NAME)
    scan = Cityscapes(classes="34").scan(tmp_path)
    record = record_of(scan, tmp_path)
    assert column(record) == list(LABELS)
    assert [o.label.name for o in record.objects] == [
        *("car", "person", "caravan", "bicycle")
    ]


def test_splits_cities_and_keys(tmp_path: Path) -> None:
    draw(tmp_path, NAME, "val/bonn/bonn_000000_000001")
    guess = Cityscapes.recognize(tmp_path)
    assert guess is not None
    assert guess.title == "Cityscapes, gtFine"
    scan = Cityscapes().scan(tmp_path)
    assert [(a["key"], a["split"]) for a in scan.annotations] == [
        (NAME, "train"),
        ("val/bonn/bonn_000000_000001", "val"),
    ]


def test_coarse_annotations(tmp_path: Path) -> None:
    draw(tmp_path, NAME, kind="gtCoarse", has_objects=False)
    guess = Cityscapes.recognize(tmp_path)
    assert guess is not None
    assert dict(guess.options) == {"annotations": "gtCoarse"}
    scan = Cityscapes(**guess.options).scan(tmp_path)
    assert scan.warnings == (
        "no objects: gtCoarse/ has no files X_gtCoarse_instanceIds.png",
    )
    assert record_of(scan, tmp_path).objects == ()


def test_split_without_labels_is_left_out(tmp_path: Path) -> None:
    draw(tmp_path, NAME, "test/rom/rom_000000_000001")
    for path in (tmp_path / "gtFine/test/rom").iterdir():
        path.unlink()
    scan = Cityscapes().scan(tmp_path)
    assert scan.warnings == ("test/ is left out: it has no labels",)
    assert [a["split"] for a in scan.annotations] == ["train"]


def test_missing_file_shows_up_as_missing(tmp_path: Path) -> None:
    draw(tmp_path, NAME, "train/ulm/ulm_000000_000020")
    for path in (tmp_path / "gtFine/train/ulm").glob("*_000020_*"):
        path.unlink()
    *_, last = Cityscapes().scan(tmp_path).annotations
    start = "gtFine/train/ulm/ulm_000000_000020_gtFine"
    assert last["label_image"]["path"] == f"{start}_labelIds.png"
    assert last["mask_image"]["path"] == f"{start}_instanceIds.png"


def test_polygons_alone_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, NAME)
    for path in (tmp_path / "gtFine/train/ulm").iterdir():
        path.rename(path.with_name("x_gtFine_polygons.json"))
    with pytest.raises(SourceError, match=r"csCreateLabelIds makes them"):
        Cityscapes().scan(tmp_path)
