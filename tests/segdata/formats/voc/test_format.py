from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.sources import read_files
from segdata.errors import ImageError, SourceError
from segdata.formats.base import Scan
from segdata.formats.voc.classes import voc_classes, voc_color
from segdata.formats.voc.format import Voc
from segdata.masks.rle import decode_label_map
from segdata.records.encode import EncodedRecord, encode_record

HEIGHT, WIDTH = 12, 20
PALETTE = bytes(channel for index in range(256) for channel in voc_color(index))


def rows(*values: Any) -> NDArray[np.uint8]:
    array = np.array([values[r * len(values) // HEIGHT] for r in range(HEIGHT)])
    return np.repeat(array[:, None], WIDTH, axis=1).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if pixels.ndim == 2:
        image.putpalette(PALETTE)
    image.save(path)


def draw(
    root: Path,
    *names: str,
    classes: NDArray[np.uint8] | None = None,
    objects: NDArray[np.uint8] | None = None,
) -> Path:
    for number, name in enumerate(names):
        photo = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        save(root / f"JPEGImages/{name}.png", photo)
        save(
            root / f"SegmentationClass/{name}.png",
            rows(0, 15, 255, 1) if classes is None else classes,
        )
        if objects is not None:
            save(root / f"SegmentationObject/{name}.png", objects)
    return root


def write_lists(root: Path, **lists: str) -> None:
    folder = root / "ImageSets/Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text.replace(" ", "\n"))


def records(scan: Scan, root: Path) -> list[EncodedRecord]:
    return [
        encode_record(a, read_files(a, root), scan.label_map) for a in scan.annotations
    ]


def column(record: EncodedRecord) -> list[int]:
    runs = record.label_runs
    assert runs is not None
    drawn = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
    found: list[int] = drawn[:: HEIGHT // 4, 0].tolist()
    return found


VOC_NAME = "2007_000032"


def test_palette_is_that_of_the_development_kit() -> None:
    assert [voc_color(i) for i in (0, 1, 2, 15, 20, 255)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (192, 128, 128),
        (0, 64, 128),
        (224, 224, 192),
    ]


def test_palette_is_that_of_real_masks(shared_data: Path) -> None:
    folder = shared_data / "field/labelme-voc/SegmentationClass"
    with Image.open(folder / "2011_000003.png") as image:
        palette = image.getpalette("RGB") or []
    rows_ = voc_classes().rows
    assert palette[: 3 * 21] == [c for row in rows_[:21] for c in row.color or ()]


@pytest.mark.parametrize("below", ["", "VOC2012/", "VOCdevkit/VOC2012/"])
def test_vocs_own_classes_and_objects(below: str, tmp_path: Path) -> None:
    draw(tmp_path / below, VOC_NAME, objects=rows(0, 1, 255, 2))
    guess = Voc.recognize(tmp_path)
    assert guess is not None
    assert guess.is_sure
    scan = Voc().scan(tmp_path)
    assert scan.label_map["person"] == 15
    assert scan.label_map.ignore_id == scan.label_map["border"] == 255
    [record] = records(scan, tmp_path)
    assert column(record) == [0, 15, 255, 1]
    assert [o.label.name for o in record.objects] == ["person", "aeroplane"]
    assert [o.area for o in record.objects] == [3 * WIDTH, 3 * WIDTH]
    [plain] = records(Voc(objects="none").scan(tmp_path), tmp_path)
    assert plain.objects == ()


def test_colours_of_the_palette_are_the_classes_too(tmp_path: Path) -> None:
    colors = [voc_color(i) for i in (0, 15, 255, 1)]
    draw(tmp_path, VOC_NAME, classes=rows(*colors))
    scan = Voc().scan(tmp_path)
    assert column(records(scan, tmp_path)[0]) == [0, 15, 255, 1]


def test_class_file_of_cvat(tmp_path: Path) -> None:
    """With colours for classes and objects, and the background not first."""
    draw(
        tmp_path,
        "a",
        classes=rows((9, 8, 7), (0, 0, 0), (1, 2, 3), (0, 0, 0)),
        objects=rows((255, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0)),
    )
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\ncat:9,8,7::\nbackground:0,0,0::\ndog:1,2,3::"
    )
    write_lists(tmp_path, default="a")
    guess = Voc.recognize(tmp_path)
    assert guess is not None
    assert guess.title.endswith("as CVAT writes it")
    scan = Voc().scan(tmp_path)
    assert dict(scan.label_map) == {"background": 0, "cat": 1, "dog": 2}
    [annotation] = scan.annotations
    assert "split" not in annotation
    record = encode_record(annotation, read_files(annotation, tmp_path), scan.label_map)
    assert column(record) == [1, 0, 2, 0]
    assert [o.label.name for o in record.objects] == ["cat", "dog"]


def test_class_file_of_labelme(tmp_path: Path) -> None:
    draw(tmp_path, "a", classes=rows(0, 2, 255, 1))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    guess = Voc.recognize(tmp_path)
    assert guess is not None
    assert guess.title.endswith("as labelme writes it")
    scan = Voc().scan(tmp_path)
    assert column(records(scan, tmp_path)[0]) == [0, 2, 255, 1]
    assert "no objects: most masks have no file in SegmentationObject/" in scan.warnings


def test_arrays_beside_the_masks_are_passed_over(tmp_path: Path) -> None:
    """Labelme once wrote NumPy's arrays into SegmentationClass."""
    draw(tmp_path, VOC_NAME)
    (tmp_path / "SegmentationClass").rename(tmp_path / "SegmentationClassPNG")
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / f"SegmentationClass/{VOC_NAME}.npy").write_bytes(b"")
    [annotation] = Voc().scan(tmp_path).annotations
    assert annotation["label_image"]["path"].startswith("SegmentationClassPNG/")


def test_without_class_file_other_names_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "holiday")
    assert Voc.recognize(tmp_path) is None
    with pytest.raises(SourceError, match=r"not called as Pascal VOC's are: expected"):
        Voc().scan(tmp_path)
    scan = Voc(classes="voc").scan(tmp_path)
    assert column(records(scan, tmp_path)[0]) == [0, 15, 255, 1]


def test_no_class_called_background_no_objects(tmp_path: Path) -> None:
    draw(tmp_path, "a", classes=rows(0, 1), objects=rows(1, 2))
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    scan = Voc().scan(tmp_path)
    assert "no objects: no class is called background" in scan.warnings
    assert records(scan, tmp_path)[0].objects == ()


def test_lists_make_splits_and_images_without_masks_are_counted(
    tmp_path: Path,
) -> None:
    names = [f"2007_00000{n}" for n in range(5)]
    draw(tmp_path, *names)
    (tmp_path / f"SegmentationClass/{names[4]}.png").unlink()
    write_lists(
        tmp_path,
        train=f"{names[0]} {names[1]}",
        val=names[2],
        trainval=" ".join(names[:3]),
    )
    scan = Voc().scan(tmp_path)
    splits = {Path(a["image"]).stem: a["split"] for a in scan.annotations}
    assert splits == {names[0]: "train", names[1]: "train", names[2]: "val"}
    folder = "ImageSets/Segmentation"
    assert scan.warnings == (
        f"3 images of {folder}/trainval.txt stand in an earlier list, which counts",
        f"1 image left out that no list in {folder}/ names, e.g. "
        f"JPEGImages/{names[3]}.png",
        f"1 image without a mask left out, e.g. {names[4]}",
        "no objects: most masks have no file in SegmentationObject/",
    )


def test_listed_image_without_mask_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, VOC_NAME, "2007_000033")
    (tmp_path / f"SegmentationClass/{VOC_NAME}.png").unlink()
    write_lists(tmp_path, train=f"{VOC_NAME} 2007_000033 2007_000099")
    scan = Voc().scan(tmp_path)
    assert [p.reason for p in scan.problems] == ["listed-in-vain"]
    with pytest.raises(
        ImageError, match=rf"SegmentationClass/{VOC_NAME}.png"
    ) as caught:
        records(scan, tmp_path)
    assert caught.value.reason == "label-image-missing"


def test_missing_objects_of_one_image_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, VOC_NAME, "2007_000033", objects=rows(0, 1, 255, 2))
    (tmp_path / f"SegmentationObject/{VOC_NAME}.png").unlink()
    scan = Voc().scan(tmp_path)
    with pytest.raises(ImageError, match="SegmentationObject/2007") as caught:
        records(scan, tmp_path)
    assert caught.value.reason == "mask-image-missing"


def test_several_datasets_are_named(tmp_path: Path) -> None:
    for year in (2007, 2012):
        draw(tmp_path / f"VOC{year}", VOC_NAME)
    assert Voc.recognize(tmp_path) is None
    with pytest.raises(
        SourceError, match=r"several VOC folders, VOC2007/, VOC2012/: e"
    ):
        Voc().scan(tmp_path)
