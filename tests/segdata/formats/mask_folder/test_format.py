from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.annotations import record_key
from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.building.sources import read_files
from segdata.errors import (
    AnnotationError,
    BuildError,
    ImageError,
    OptionError,
    SourceError,
)
from segdata.formats.base import Scan
from segdata.formats.mask_folder.format import MaskFolder
from segdata.masks.rle import decode_label_map
from segdata.records.encode import EncodedRecord, encode_record

HEIGHT, WIDTH = 6, 8
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, pixels: NDArray[np.uint8], palette: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image = Image.fromarray(pixels, mode="P")
        image.putpalette(palette)
    image.save(path)


def index_mask(*values: int) -> NDArray[np.uint8]:
    """One row of a value after another."""
    rows = [values[row % len(values)] for row in range(HEIGHT)]
    return np.repeat(np.array(rows, np.uint8)[:, None], WIDTH, axis=1)


def color_mask(*colors: tuple[int, int, int]) -> NDArray[np.uint8]:
    rows = [colors[row % len(colors)] for row in range(HEIGHT)]
    return np.repeat(np.array(rows, np.uint8)[:, None], WIDTH, axis=1)


def folder(
    root: Path,
    *stems: str,
    mask: NDArray[np.uint8] | None = None,
    classes: str = "sky\nroad\ncar\n",
    palette: bytes | None = None,
) -> Path:
    for index, stem in enumerate(stems):
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        save(root / "images" / f"{stem}.png", pixels)
        save(
            root / "masks" / f"{stem}.png",
            index_mask(0, 1, 2) if mask is None else mask,
            palette,
        )
    (root / "classes.txt").write_text(classes)
    return root


def pairs(scan: Scan) -> dict[str, str]:
    return {a["image"]: a["label_image"]["path"] for a in scan.annotations}


def encode(scan: Scan, root: Path, position: int = 0) -> EncodedRecord:
    annotation = list(scan.annotations)[position]
    return encode_record(annotation, read_files(annotation, root), scan.label_map)


def label_rows(record: EncodedRecord) -> list[int]:
    """Class of each row: all masks here are made of rows."""
    runs = record.label_runs
    assert runs is not None
    decoded = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
    assert (decoded == decoded[:, :1]).all()
    rows: list[int] = decoded[:, 0].tolist()
    return rows


# --- Pairs ---


def test_images_and_masks_pair_by_name_in_the_same_folder(tmp_path: Path) -> None:
    scan = MaskFolder().scan(folder(tmp_path, "a", "b/a", "b/c.d/ß x"))
    assert pairs(scan) == {
        "images/a.png": "masks/a.png",
        "images/b/a.png": "masks/b/a.png",
        "images/b/c.d/ß x.png": "masks/b/c.d/ß x.png",
    }
    assert scan.warnings == ()
    assert "no split of its own" in scan.layout


def test_endings_of_image_and_mask_need_not_agree(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    (tmp_path / "images/a.png").rename(tmp_path / "images/a.JPG")
    assert pairs(MaskFolder().scan(tmp_path)) == {"images/a.JPG": "masks/a.png"}


def test_suffix_of_masks_is_tolerated(tmp_path: Path) -> None:
    folder(tmp_path, "a", "b_mask")
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/a_mask.png")
    (tmp_path / "masks/b_mask.png").rename(tmp_path / "masks/b_mask_mask.png")
    save(tmp_path / "masks/a.png", index_mask(0))
    scan = MaskFolder(mask_suffix="_mask").scan(tmp_path)
    assert pairs(scan) == {
        "images/a.png": "masks/a_mask.png",
        "images/b_mask.png": "masks/b_mask_mask.png",
    }
    assert scan.warnings == (
        "1 file left out (other masks of the same images, named as they are), e.g. "
        "masks/a.png",
    )


def test_folders_of_other_names_are_found_by_option(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    (tmp_path / "deep").mkdir()
    (tmp_path / "images").rename(tmp_path / "deep/JPEGImages")
    (tmp_path / "masks").rename(tmp_path / "SegmentationClass")
    found = MaskFolder(images="deep/JPEGImages/", mask_folder="SegmentationClass")
    assert pairs(found.scan(tmp_path)) == {
        "deep/JPEGImages/a.png": "SegmentationClass/a.png"
    }


def test_masks_inside_the_folder_of_images_are_no_images(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    (tmp_path / "masks").rename(tmp_path / "images/masks")
    scan = MaskFolder(mask_folder="images/masks").scan(tmp_path)
    assert pairs(scan) == {"images/a.png": "images/masks/a.png"}
    assert scan.warnings == ()


def test_folders_named_after_splits_make_splits(tmp_path: Path) -> None:
    scan = MaskFolder().scan(folder(tmp_path, "train/a", "val/a", "test/x/b"))
    splits = {record_key(a): a.get("split") for a in scan.annotations}
    assert splits == {
        "images/train/a": "train",
        "images/val/a": "val",
        "images/test/x/b": "test",
    }
    assert "(test, train, val)" in scan.layout


def test_other_folders_make_no_split(tmp_path: Path) -> None:
    scan = MaskFolder().scan(folder(tmp_path, "berlin/a", "train_x/a"))
    assert all("split" not in a for a in scan.annotations)


def test_images_beside_the_folders_of_splits_are_warned_of(tmp_path: Path) -> None:
    scan = MaskFolder().scan(folder(tmp_path, "val/a", "b", "c"))
    assert scan.warnings == (
        "2 images lie beside the folders of the splits and count as train, e.g. "
        "images/b.png",
    )


def test_pair_of_folders_in_each_splits_folder(tmp_path: Path) -> None:
    folder(tmp_path / "train", "a")
    folder(tmp_path / "val", "a", "train/b")
    folder(tmp_path / "öffentlich 2-b", "a")
    (tmp_path / "notes").mkdir()
    (tmp_path / "train/classes.txt").rename(tmp_path / "classes.txt")
    scan = MaskFolder().scan(tmp_path)
    assert {a["image"]: a.get("split") for a in scan.annotations} == {
        "train/images/a.png": "train",
        "val/images/a.png": "val",
        "val/images/train/b.png": "val",
        "öffentlich 2-b/images/a.png": None,
    }
    assert scan.warnings == (
        "1 image lies beside the folders of the splits and count as train, e.g. "
        "öffentlich 2-b/images/a.png",
    )


def test_unpaired_files_are_counted_named_and_end_a_strict_build(
    tmp_path: Path,
) -> None:
    folder(tmp_path, "a", "b", "c", "d", "e", "f")
    for stem in "abcd":
        (tmp_path / f"masks/{stem}.png").unlink()
    (tmp_path / "images/f.png").unlink()
    scan = MaskFolder().scan(tmp_path)
    assert scan.warnings == (
        "4 images have no mask: images/a.png, images/b.png, images/c.png and 1 more",
        "1 mask has no image: masks/f.png",
    )
    with pytest.raises(ImageError, match=r"label image 'masks/a.png' is missing"):
        make_plan(scan, tmp_path, "mask-folder", BuildOptions())


def test_unpaired_files_are_rejects_when_errors_are_skipped(
    tmp_path: Path, build_plainly: Callable[..., Any]
) -> None:
    folder(tmp_path / "in", *"abcdef")
    (tmp_path / "in/masks/a.png").unlink()
    (tmp_path / "in/images/f.png").unlink()
    arguments = (tmp_path / "in", tmp_path / "out")
    options = {"dataset_format": MaskFolder(), "on_error": "skip"}
    manifest = build_plainly(*arguments, max_reject_share=0.5, **options)
    train = manifest.splits["train"]
    assert train.num_records == 4
    assert train.rejects == {"image-missing": 1, "label-image-missing": 1}
    with pytest.raises(BuildError, match=r"2 of 6 records were rejected"):
        build_plainly(*arguments, overwrite=True, **options)


def test_name_that_stands_for_several_files_is_a_problem(tmp_path: Path) -> None:
    folder(tmp_path, "a", "b", "c")
    save(tmp_path / "masks/a.bmp", index_mask(1))
    save(tmp_path / "images/b.jpg", color_mask(RED))
    scan = MaskFolder().scan(tmp_path)
    assert pairs(scan) == {"images/c.png": "masks/c.png"}
    assert [(p.reason, str(p)) for p in scan.problems] == [
        (
            "ambiguous-image",
            "2 images are named 'b': images/b.jpg, images/b.png. Which is meant? Keep "
            "one of them.",
        ),
        (
            "ambiguous-mask",
            "2 masks are named 'a': masks/a.bmp, masks/a.png. Which is meant? Keep one "
            "of them.",
        ),
    ]


def test_what_is_no_image_is_left_out_with_its_count(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    (tmp_path / "images/Thumbs.db").touch()
    (tmp_path / "images/._a.png").touch()
    (tmp_path / "masks/.DS_Store").touch()
    (tmp_path / "masks/more").symlink_to(tmp_path / "masks")
    scan = MaskFolder().scan(tmp_path)
    assert len(pairs(scan)) == 1
    assert [line.partition(", e.g. ")[::2] for line in scan.warnings] == [
        ("1 file left out (no image by its ending)", "images/Thumbs.db"),
        ("2 hidden files left out (the name begins with a dot)", "images/._a.png"),
        ("1 linked folder left out (links are not followed)", "masks/more"),
    ]


def test_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder(tmp_path / "in", "a")
    save(tmp_path / "secret.png", index_mask(1))
    (tmp_path / "in/masks/a.png").unlink()
    (tmp_path / "in/masks/a.png").symlink_to(tmp_path / "secret.png")
    scan = MaskFolder().scan(tmp_path / "in")
    with pytest.raises(AnnotationError, match="a link that leads out of") as caught:
        encode(scan, tmp_path / "in")
    assert caught.value.reason == "unsafe-path"


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, "a", mask=np.zeros((WIDTH, HEIGHT), np.uint8))
    with pytest.raises(AnnotationError, match="expected 6x8, got 8x6"):
        encode(MaskFolder().scan(tmp_path), tmp_path)


# --- Classes and labels ---


def test_ids_with_gaps_become_contiguous_and_stay_known(tmp_path: Path) -> None:
    folder(tmp_path, "a", mask=index_mask(255, 7), classes="255 pet\n7 floor\n")
    scan = MaskFolder().scan(tmp_path)
    assert dict(scan.label_map) == {"floor": 0, "pet": 1}
    assert [c.source_ids for c in scan.label_map.semantic_classes] == [(7,), (255,)]
    assert scan.label_map.ignore_id is None
    assert label_rows(encode(scan, tmp_path)) == [1, 0] * 3


@pytest.mark.parametrize("ignore", ["void", "2"])
def test_ignored_class_gets_255(tmp_path: Path, ignore: str) -> None:
    folder(tmp_path, "a", mask=index_mask(1, 2, 3), classes="1 a\n2 void\n3 b\n")
    scan = MaskFolder(ignore=ignore).scan(tmp_path)
    assert dict(scan.label_map) == {"a": 0, "b": 1, "void": 255}
    assert scan.label_map.ignore_id == 255
    assert label_rows(encode(scan, tmp_path)) == [0, 255, 1] * 2


def test_ignored_id_of_masks_of_16_bits(tmp_path: Path) -> None:
    mask = index_mask(0, 1).astype(np.uint16) * 999
    folder(tmp_path, "a", mask=mask, classes="road\n")
    scan = MaskFolder(ignore="999").scan(tmp_path)
    assert label_rows(encode(scan, tmp_path)) == [0, 255] * 3
    with pytest.raises(OptionError, match=r"that a mask can hold, 0 to 65535\.$"):
        MaskFolder(ignore="65536").scan(tmp_path)


def test_ignored_id_is_refused_where_colours_are_the_classes(tmp_path: Path) -> None:
    folder(tmp_path, "a", classes="0 sky 1 2 3\n1 void 0 0 0\n")
    with pytest.raises(OptionError, match=r"^--ignore is 255, and pixels have colour"):
        MaskFolder(ignore="255", labels="color").scan(tmp_path)
    scan = MaskFolder(ignore="1", labels="color").scan(tmp_path)
    assert scan.label_map.ignore_id == 255


def test_ignored_id_need_be_no_class(tmp_path: Path) -> None:
    folder(tmp_path, "a", mask=index_mask(0, 255), classes="void\n")
    scan = MaskFolder(ignore="255").scan(tmp_path)
    assert dict(scan.label_map) == {"void": 0, "ignored": 255}
    record = encode(scan, tmp_path)
    assert label_rows(record) == [0, 255] * 3
    assert record.notes == ()


def test_unknown_value_is_refused_or_skipped_and_counted(tmp_path: Path) -> None:
    folder(tmp_path, "a", mask=index_mask(0, 9))
    with pytest.raises(AnnotationError, match=r"unknown value 9 in 24 pixels: expect"):
        encode(MaskFolder().scan(tmp_path), tmp_path)
    scan = MaskFolder(unknown="void").scan(tmp_path)
    record = encode(scan, tmp_path)
    assert label_rows(record) == [0, 255] * 3
    assert record.notes == ("unknown-labels-voided",)
    assert scan.label_map.ignore_id == 255


PALETTE = bytes([*RED, *GREEN, *BLUE])
COLORS_BY_NAME = "blue 0 0 255\ngreen 0 255 0\nred 255 0 0\n"
COLORS_BY_ID = "0 red 255 0 0\n1 green 0 255 0\n2 blue 0 0 255\n"
GREYS = "floor 0 0 0\nhouse 255 255 255\n"


@pytest.mark.parametrize(
    ("mask", "palette", "classes", "encoding", "rows"),
    [
        (index_mask(0, 1, 2), None, "red\ngreen\nblue", "index", [0, 1, 2]),
        (index_mask(0, 1, 2), None, COLORS_BY_ID, "index", [0, 1, 2]),
        (index_mask(0, 1, 2), PALETTE, COLORS_BY_ID, "index", [0, 1, 2]),
        (index_mask(0, 1, 2), PALETTE, "red\ngreen\nblue", "index", [0, 1, 2]),
        # The palette's order is not the file's: the colour tells the class.
        (index_mask(0, 1, 2), PALETTE, COLORS_BY_NAME, "color", [2, 1, 0]),
        (color_mask(RED, GREEN, BLUE), None, COLORS_BY_ID, "color", [0, 1, 2]),
        (color_mask(RED, GREEN, BLUE), None, COLORS_BY_NAME, "color", [2, 1, 0]),
        (index_mask(0, 255), None, GREYS, "color", [0, 1]),
        # Grey masks of coloured classes can only be indices.
        (index_mask(0, 1, 2), None, COLORS_BY_NAME, "index", [0, 1, 2]),
        (color_mask((0, 0, 0), (1, 1, 1)), None, "a\nb", "index", [0, 1]),
    ],
)
def test_how_masks_spell_classes_is_recognised(
    tmp_path: Path,
    mask: NDArray[np.uint8],
    palette: bytes | None,
    classes: str,
    encoding: str,
    rows: list[int],
) -> None:
    folder(tmp_path, "a", mask=mask, palette=palette, classes=classes)
    scan = MaskFolder().scan(tmp_path)
    [annotation] = scan.annotations
    assert annotation["label_image"]["encoding"] == encoding
    assert f"{encoding} labels" in scan.layout
    found = label_rows(
        encode_record(annotation, read_files(annotation, tmp_path), scan.label_map)
    )
    assert found == (rows * HEIGHT)[:HEIGHT]


@pytest.mark.parametrize(
    ("labels", "rows"), [("index", [0, 1, 2]), ("color", [2, 1, 0])]
)
def test_option_says_how_masks_spell_classes(
    tmp_path: Path, labels: Any, rows: list[int]
) -> None:
    folder(tmp_path, "a", palette=PALETTE, classes=COLORS_BY_NAME)
    scan = MaskFolder(labels=labels).scan(tmp_path)
    assert label_rows(encode(scan, tmp_path)) == rows * 2


def test_damaged_mask_does_not_hinder_the_scan(tmp_path: Path) -> None:
    folder(tmp_path, "a", "b", mask=color_mask(RED, BLUE), classes=COLORS_BY_ID)
    (tmp_path / "masks/a.png").write_bytes(b"no image")
    scan = MaskFolder().scan(tmp_path)
    assert {a["label_image"]["encoding"] for a in scan.annotations} == {"color"}


def test_colours_that_no_class_has_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "a", mask=color_mask(RED, (9, 9, 9)), classes=COLORS_BY_ID)
    with pytest.raises(AnnotationError, match=r"colour \(9, 9, 9\) in 24 pixels"):
        encode(MaskFolder().scan(tmp_path), tmp_path)


def test_class_file_is_found_beside_the_folders_or_anywhere(tmp_path: Path) -> None:
    folder(tmp_path / "in", "a")
    (tmp_path / "in/classes.txt").rename(tmp_path / "in/names.txt")
    (tmp_path / "far.csv").write_text("0,a\n1,b\n2,c\n")
    [loud, hint] = MaskFolder().scan(tmp_path / "in").warnings
    assert loud.startswith("THE CLASSES HAVE NO NAMES")
    assert hint == "names.txt may be a class file: --classes names.txt"
    inside = MaskFolder(classes="names.txt").scan(tmp_path / "in")
    assert dict(inside.label_map) == {"sky": 0, "road": 1, "car": 2}
    outside = MaskFolder(classes=str(tmp_path / "far.csv")).scan(tmp_path / "in")
    assert dict(outside.label_map) == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(SourceError, match=r"nowhere.txt cannot be read: No such file"):
        MaskFolder(classes="nowhere.txt").scan(tmp_path / "in")


def test_more_classes_than_a_label_map_holds_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "a", classes="".join(f"c{i}\n" for i in range(256)))
    with pytest.raises(
        SourceError, match=r"has 256 classes: label maps hold at most 2"
    ):
        MaskFolder().scan(tmp_path)
    (tmp_path / "classes.txt").write_text("".join(f"c{i}\n" for i in range(255)))
    assert MaskFolder().scan(tmp_path).label_map["c254"] == 254


# --- Options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "/images"}, r"--images is '/images': expected a folder below SOU"),
        ({"mask_folder": "../m"}, r"--mask-folder is '../m': expected a folder below"),
        ({"split_lists": "/s"}, r"--split-lists is '/s': expected a folder below SOUR"),
        ({"mask_suffix": "a/b"}, r"--mask-suffix is 'a/b': expected the end of a file"),
        ({"image_suffix": "*a*"}, r"--image-suffix is '\*a\*': expected the end of a "),
        ({"tolerance": 256}, r"--tolerance is 256: expected 0 to 255"),
        ({"instances": "cat", "labels": "index"}, r"leave out --labels"),
    ],
)
def test_impossible_option_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        MaskFolder(**options)


def test_options_that_contradict_the_class_file_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    with pytest.raises(OptionError, match=r"--labels color needs colours: expected"):
        MaskFolder(labels="color").scan(tmp_path)
    with pytest.raises(
        OptionError, match=r"--ignore is 'x': expected a class \(sky, r"
    ):
        MaskFolder(ignore="x").scan(tmp_path)
    with pytest.raises(
        OptionError, match=r"^--ignore is 256: .* that a mask can hold, 0 to 255\.$"
    ):
        MaskFolder(ignore="256").scan(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(SourceError, match="nothing but what is ignored"):
        MaskFolder(ignore="sky").scan(tmp_path)


def test_folder_without_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match=r"expected the folders images/ and masks/"):
        MaskFolder().scan(tmp_path)


# --- Real data ---


def test_real_trimaps_pair_with_their_images(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("1 pet\n2 background\n3 outline\n")
    found = MaskFolder(
        mask_folder="annotations/trimaps",
        classes=str(tmp_path / "classes.txt"),
        ignore="outline",
    )
    scan = found.scan(shared_data / "pets")
    annotations = list(scan.annotations)
    assert len(annotations) == 449
    assert scan.warnings == (
        "3 files left out (no image by its ending), e.g. images/Abyssinian_100.mat",
        "1 image left out that no list in annotations/ names, e.g. "
        "images/Abyssinian_34.jpg",
    )
    for annotation in annotations[::90]:
        record = encode_record(
            annotation, read_files(annotation, shared_data / "pets"), scan.label_map
        )
        path = shared_data / "pets" / annotation["label_image"]["path"]
        stored = np.asarray(Image.open(path))
        runs = record.label_runs
        assert runs is not None
        decoded = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
        expected = np.array([0, 0, 1, 255], np.uint8)[stored]
        assert np.array_equal(decoded, expected)


def test_labelme_file_with_ignore_leaves_out_255(shared_data: Path) -> None:
    options = MaskFolder(
        images="JPEGImages", mask_folder="SegmentationClass", classes="labels.txt"
    )
    label_map = options.scan(shared_data / "field/labelme-voc").label_map
    assert label_map["_background_"] == 0
    assert label_map.semantic_by_source_id[15] == label_map["person"] == 15
    assert label_map.ignore_id == label_map.semantic_by_source_id[255] == 255
