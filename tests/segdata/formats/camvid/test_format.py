from __future__ import annotations

from collections.abc import Callable, Mapping
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
from segdata.errors import AnnotationError, ImageError, SourceError
from segdata.formats.base import Scan
from segdata.formats.camvid import classes as camvid_classes
from segdata.formats.camvid.classes import COLORS, GROUPS, read_colors
from segdata.formats.camvid.format import CamVid
from segdata.masks.rle import decode_label_map
from segdata.records.encode import EncodedRecord, encode_record
from segdata.storage.files import read_bytes
from segdata.validation import validate_annotation

HEIGHT, WIDTH = 6, 8

# The grouping as the SegNet authors and MATLAB's camvidPixelLabelIDs document it,
# written down a second time, so that a slip in the library is seen. In the order of
# the index labels: 0 sky ... 11 void.
DOCUMENTED_GROUPS = {
    (128, 128, 128): "sky",  # Sky
    (128, 0, 0): "building",  # Building
    (0, 128, 64): "building",  # Bridge
    (64, 192, 0): "building",  # Wall
    (64, 0, 64): "building",  # Tunnel
    (192, 0, 128): "building",  # Archway
    (192, 192, 128): "pole",  # Column_Pole
    (0, 0, 64): "pole",  # TrafficCone
    (128, 64, 128): "road",  # Road
    (128, 0, 192): "road",  # LaneMkgsDriv
    (192, 0, 64): "road",  # LaneMkgsNonDriv
    (0, 0, 192): "pavement",  # Sidewalk
    (64, 192, 128): "pavement",  # ParkingBlock
    (128, 128, 192): "pavement",  # RoadShoulder
    (128, 128, 0): "tree",  # Tree
    (192, 192, 0): "tree",  # VegetationMisc
    (192, 128, 128): "sign_symbol",  # SignSymbol
    (128, 128, 64): "sign_symbol",  # Misc_Text
    (0, 64, 64): "sign_symbol",  # TrafficLight
    (64, 64, 128): "fence",  # Fence
    (64, 0, 128): "car",  # Car
    (64, 128, 192): "car",  # SUVPickupTruck
    (192, 128, 192): "car",  # Truck_Bus
    (192, 64, 128): "car",  # Train
    (128, 64, 64): "car",  # OtherMoving
    (64, 64, 0): "pedestrian",  # Pedestrian
    (192, 128, 64): "pedestrian",  # Child
    (64, 0, 192): "pedestrian",  # CartLuggagePram
    (64, 128, 64): "pedestrian",  # Animal
    (0, 128, 192): "bicyclist",  # Bicyclist
    (192, 0, 192): "bicyclist",  # MotorcycleScooter
    (0, 0, 0): "void",  # Void
}
INDEX_ORDER = [*dict.fromkeys(DOCUMENTED_GROUPS.values())]


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_frame(path: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    save(path, rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def index_label(value: int = 3) -> NDArray[np.uint8]:
    return np.full((HEIGHT, WIDTH), value, np.uint8)


def color_label(*names: str) -> NDArray[np.uint8]:
    """One row of colour after another."""
    rows = [COLORS[names[row % len(names)]] for row in range(HEIGHT)]
    return np.repeat(np.array(rows, np.uint8)[:, None], WIDTH, axis=1)


def color_pairs(root: Path, *stems: str, names: tuple[str, ...] = ("Sky",)) -> Path:
    for stem in stems:
        save_frame(root / f"{stem}.png")
        save(root / f"{stem}_L.png", color_label(*names))
    return root


def segnet(root: Path, split: str = "train", count: int = 2) -> Path:
    """The SegNet layout without a list."""
    for index in range(count):
        save_frame(root / split / f"{index}.png", index)
        save(root / f"{split}annot" / f"{index}.png", index_label(index))
    return root


def pairs(scan: Scan) -> dict[str, str]:
    return {a["image"]: a["label_image"]["path"] for a in scan.annotations}


def encode(scan: Scan, root: Path, position: int = 0) -> EncodedRecord:
    annotation = list(scan.annotations)[position]
    return encode_record(annotation, read_files(annotation, root), scan.label_map)


def label_map_of(record: EncodedRecord) -> NDArray[np.uint8]:
    runs = record.label_runs
    assert runs is not None
    return decode_label_map(runs.values, runs.lengths, runs.height, runs.width)


# --- (a) SegNet split ---


def test_segnet_list_with_a_prefix_that_does_not_exist_finds_the_files(
    tmp_path: Path,
) -> None:
    segnet(tmp_path)
    (tmp_path / "train.txt").write_text(
        "/SegNet/CamVid/train/0.png /SegNet/CamVid/trainannot/0.png\n"
        "/SegNet/CamVid/train/1.png /SegNet/CamVid/trainannot/1.png\n"
    )
    scan = CamVid().scan(tmp_path)
    assert pairs(scan) == {
        "train/0.png": "trainannot/0.png",
        "train/1.png": "trainannot/1.png",
    }
    assert scan.layout == "SegNet split (train), index labels"
    assert scan.warnings == ()
    assert {a["split"] for a in scan.annotations} == {"train"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a/train/0.png a/trainannot/0.png\n", id="relative prefix"),
        pytest.param("./train/0.png ./trainannot/0.png\n", id="dot prefix"),
        pytest.param("train/0.png trainannot/0.png", id="no final newline"),
        pytest.param("\n\ntrain/0.png trainannot/0.png\n \n", id="blank lines"),
        pytest.param("train/0.png trainannot/0.png\r\n", id="CRLF"),
        pytest.param("\ufefftrain/0.png trainannot/0.png\n", id="BOM"),
        pytest.param("train/0.png\t\ttrainannot/0.png  \n", id="tabs, end blanks"),
        pytest.param("0.png 0.png\n", id="bare names"),
        pytest.param("../x/train/0.png ../trainannot/0.png\n", id="parent folders"),
    ],
)
def test_segnet_list_in_every_spelling_names_the_same_pair(
    tmp_path: Path, text: str
) -> None:
    segnet(tmp_path, count=1)
    (tmp_path / "train.txt").write_bytes(text.encode())
    assert pairs(CamVid().scan(tmp_path)) == {"train/0.png": "trainannot/0.png"}


def test_segnet_list_accepts_blanks_in_file_names(tmp_path: Path) -> None:
    save_frame(tmp_path / "train" / "a b.png")
    save(tmp_path / "trainannot" / "a b.png", index_label())
    (tmp_path / "train.txt").write_text("/x/train/a b.png /x/trainannot/a b.png\n")
    assert pairs(CamVid().scan(tmp_path)) == {"train/a b.png": "trainannot/a b.png"}


@pytest.mark.parametrize("line", ["train/0.png", "train/0 trainannot/0", "nonsense"])
def test_malformed_list_line_is_refused_with_its_number(
    tmp_path: Path, line: str
) -> None:
    segnet(tmp_path)
    good = "train/0.png trainannot/0.png\n"
    (tmp_path / "train.txt").write_text(f"{good}\n{line}\n")
    with pytest.raises(SourceError, match=rf"line 3 of train.txt is '{line}': expect"):
        CamVid().scan(tmp_path)


def test_list_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    segnet(tmp_path)
    (tmp_path / "train.txt").write_bytes(b"train/\xe9.png trainannot/\xe9.png\n")
    with pytest.raises(SourceError, match=r"^train\.txt is not UTF-8: invalid "):
        CamVid().scan(tmp_path)


def test_list_that_names_a_missing_frame_is_refused_with_its_path(
    tmp_path: Path,
) -> None:
    segnet(tmp_path, count=1)
    (tmp_path / "train.txt").write_text(
        "/x/train/0.png /x/trainannot/0.png\n/x/train/7.png /x/trainannot/7.png\n"
    )
    scan = CamVid().scan(tmp_path)
    with pytest.raises(ImageError, match=r"image 'train/7.png' is missing: expected"):
        make_plan(scan, tmp_path, "camvid", BuildOptions())


def test_images_that_no_list_names_are_counted_in_a_warning(tmp_path: Path) -> None:
    segnet(tmp_path, count=4)
    (tmp_path / "train.txt").write_text("train/2.png trainannot/2.png\n")
    scan = CamVid().scan(tmp_path)
    assert pairs(scan) == {"train/2.png": "trainannot/2.png"}
    assert scan.warnings == (
        "3 images in train/ are not in train.txt and are left out, e.g. train/0.png",
    )


def test_segnet_folders_without_lists_are_paired_by_name(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        segnet(tmp_path, split, count=2)
    scan = CamVid().scan(tmp_path)
    assert len(scan.annotations) == 6
    assert scan.layout == "SegNet split (test, train, val), index labels"
    assert pairs(scan)["test/1.png"] == "testannot/1.png"
    assert [a["split"] for a in scan.annotations] == (
        ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    )


def test_only_the_split_without_a_list_is_paired_by_name(tmp_path: Path) -> None:
    segnet(tmp_path, "train", count=3)
    segnet(tmp_path, "val", count=2)
    (tmp_path / "train.txt").write_text("train/1.png trainannot/1.png\n")
    assert list(pairs(CamVid().scan(tmp_path))) == [
        "train/1.png",
        "val/0.png",
        "val/1.png",
    ]


def test_folder_named_annot_is_no_split(tmp_path: Path) -> None:
    segnet(tmp_path, "train", count=1)
    (tmp_path / "annot").mkdir()
    scan = CamVid().scan(tmp_path)
    assert [a["split"] for a in scan.annotations] == ["train"]


def test_segnet_images_without_their_label_folder_are_not_left_out_silently(
    tmp_path: Path,
) -> None:
    segnet(tmp_path, "train", count=1)
    save_frame(tmp_path / "test" / "0.png")
    scan = CamVid().scan(tmp_path)
    assert scan.warnings == ("test/ is left out: it has no testannot/ beside it",)
    assert list(pairs(scan)) == ["train/0.png"]


def test_two_images_of_one_stem_are_not_reduced_to_one_silently(
    tmp_path: Path,
) -> None:
    segnet(tmp_path, "train", count=1)
    save_frame(tmp_path / "train" / "0.jpg")
    message = r"^train/0\.jpg and train/0\.png have the same name but for the ending: "
    with pytest.raises(SourceError, match=message) as caught:
        CamVid().scan(tmp_path)
    assert caught.value.reason == "duplicate-key"


# --- (b) prepped ---


def prepped(root: Path) -> Path:
    for split in ("train", "test"):
        for index in range(2):
            name = f"{index}.png"
            save_frame(root / f"images_prepped_{split}" / name, index)
            gray = index_label(index + 4)
            label = np.repeat(gray[..., None], 3, axis=2)
            save(root / f"annotations_prepped_{split}" / name, label)
    return root


def test_prepped_layout_pairs_folders_and_names_its_splits(tmp_path: Path) -> None:
    scan = CamVid().scan(prepped(tmp_path))
    assert pairs(scan) == {
        f"images_prepped_{split}/{i}.png": f"annotations_prepped_{split}/{i}.png"
        for split in ("train", "test")
        for i in range(2)
    }
    assert {a["split"] for a in scan.annotations} == {"train", "test"}
    assert scan.layout == "prepped layout (test, train), index labels"


def test_prepped_labels_stored_as_rgb_of_equal_channels_are_indices(
    tmp_path: Path,
) -> None:
    scan = CamVid().scan(prepped(tmp_path))
    assert (label_map_of(encode(scan, tmp_path, 0)) == 4).all()
    assert (label_map_of(encode(scan, tmp_path, 1)) == 5).all()


def test_prepped_label_that_is_coloured_is_refused(tmp_path: Path) -> None:
    prepped(tmp_path)
    save(tmp_path / "annotations_prepped_test" / "0.png", color_label("Road"))
    with pytest.raises(
        AnnotationError, match=r"annotations_prepped_test/0.png' is col"
    ):
        encode(CamVid().scan(tmp_path), tmp_path, 0)


def test_prepped_images_without_their_annotations_folder_are_refused(
    tmp_path: Path,
) -> None:
    save_frame(tmp_path / "images_prepped_train" / "0.png")
    with pytest.raises(
        SourceError, match=r"expected the folder annotations_prepped_tr"
    ):
        CamVid().scan(tmp_path)


def test_prepped_annotations_without_their_images_are_not_left_out_silently(
    tmp_path: Path,
) -> None:
    prepped(tmp_path)
    save(tmp_path / "annotations_prepped_val" / "0.png", index_label())
    assert CamVid().scan(tmp_path).warnings == (
        "annotations_prepped_val/ is left out: no images_prepped_val/ is beside it",
    )


# --- (c) original ---


def test_colour_labels_beside_their_images_are_paired(tmp_path: Path) -> None:
    color_pairs(tmp_path, "0001TP_006690", "0001TP_006720")
    scan = CamVid().scan(tmp_path)
    assert pairs(scan) == {
        "0001TP_006690.png": "0001TP_006690_L.png",
        "0001TP_006720.png": "0001TP_006720_L.png",
    }
    assert scan.layout == "original layout (no split of its own), color labels"
    assert all("split" not in a for a in scan.annotations)


def test_raw_frames_and_approved_labels_in_two_folders_are_paired(
    tmp_path: Path,
) -> None:
    for stem in ("a", "b"):
        save_frame(tmp_path / "701_StillsRaw_full" / f"{stem}.png")
        save(tmp_path / "LabeledApproved_full" / f"{stem}_L.png", color_label("Car"))
    scan = CamVid().scan(tmp_path)
    assert pairs(scan) == {
        "701_StillsRaw_full/a.png": "LabeledApproved_full/a_L.png",
        "701_StillsRaw_full/b.png": "LabeledApproved_full/b_L.png",
    }
    assert (label_map_of(encode(scan, tmp_path)) == list(COLORS).index("Car")).all()


def test_train_and_train_labels_with_class_dict_keep_their_splits(
    tmp_path: Path,
) -> None:
    for split in ("train", "val"):
        save_frame(tmp_path / split / f"{split}_1.png")
        label = color_label("Tree", "Void")
        save(tmp_path / f"{split}_labels" / f"{split}_1_L.png", label)
    rows = [f"{name}, {r}, {g},{b} " for name, (r, g, b) in COLORS.items()]
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\n" + "\n".join(rows))
    scan = CamVid().scan(tmp_path)
    assert scan.layout == "original layout (train, val), color labels"
    assert {(a["image"], a["split"]) for a in scan.annotations} == {
        ("train/train_1.png", "train"),
        ("val/val_1.png", "val"),
    }
    assert list(scan.label_map) == list(COLORS)


def test_labels_of_a_split_are_paired_with_the_images_of_that_split(
    tmp_path: Path,
) -> None:
    for split in ("train", "val"):
        save_frame(tmp_path / split / "f.png")
        save(tmp_path / f"{split}_labels" / "f_L.png", color_label("Tree"))
    assert {
        a["image"]: a["label_image"]["path"]
        for a in CamVid().scan(tmp_path).annotations
    } == {"train/f.png": "train_labels/f_L.png", "val/f.png": "val_labels/f_L.png"}


def test_images_of_the_original_layout_without_labels_are_not_left_out_silently(
    tmp_path: Path,
) -> None:
    save_frame(tmp_path / "train" / "f.png")
    save(tmp_path / "train_labels" / "f_L.png", color_label("Tree"))
    save_frame(tmp_path / "test" / "g.png")
    scan = CamVid().scan(tmp_path)
    assert scan.warnings == (
        "1 images in test/ are left out: no folder has their labels",
    )
    assert list(pairs(scan)) == ["train/f.png"]


LABEL_COLORS = "".join(
    f"{r}\t{g} {b}\t\t{name} \n" if index % 2 else f" {r} {g} {b}\t{name}\r\n"
    for index, (name, (r, g, b)) in enumerate(COLORS.items())
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label_colors.txt", LABEL_COLORS),
        ("label_colors.txt", LABEL_COLORS.rstrip()),
        ("label_colors.txt", "\n\n" + LABEL_COLORS),
        ("label_colors.txt", "\ufeff" + LABEL_COLORS),
        (
            "class_dict.csv",
            "\ufeffname, r,g ,b\r\n"
            + "\r\n\r\n".join(f"{n} ,{r}, {g},{b}" for n, (r, g, b) in COLORS.items()),
        ),
        (
            "class_dict.csv",
            "\n".join(f"{n},{r},{g},{b}" for n, (r, g, b) in COLORS.items()),
        ),
    ],
    ids=["blanks", "no final newline", "blank lines", "BOM", "csv", "csv no header"],
)
def test_class_file_with_stray_blanks_gives_all_32_classes_in_order(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert list(read_colors(tmp_path / name).items()) == list(COLORS.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", r"line 1 of label_colors.txt is '1 2 3': expected a name and th"),
        ("1 2 256 Car\n", r"line 1 .* three numbers from 0 to 255"),
        ("1 2 3 Car\n1 2 x Bus\n", r"line 2 of label_colors.txt is '1 2 x Bus'"),
        ("1 2 3 Car\n1 2 3 Bus\n", r"line 2 .* repeats .*\(1, 2, 3\)"),
        ("1 2 3 Car\n1 2 4 Car\n", r"line 2 .* repeats the name 'Car'"),
        ("\n \n", r"label_colors.txt is empty: expected one class per line"),
    ],
)
def test_malformed_class_file_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "label_colors.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_colors(tmp_path / "label_colors.txt")


def test_class_file_of_other_names_defines_its_own_classes(tmp_path: Path) -> None:
    (color_pairs(tmp_path, "a") / "label_colors.txt").write_text(
        "128 128 128 up above\n1 2 3 below"
    )
    scan = CamVid().scan(tmp_path)
    assert dict(scan.label_map) == {"up above": 0, "below": 1}
    assert (label_map_of(encode(scan, tmp_path)) == 0).all()


def test_grouping_of_names_that_are_not_camvids_is_refused(tmp_path: Path) -> None:
    (color_pairs(tmp_path, "a") / "label_colors.txt").write_text("128 128 128 heaven\n")
    with pytest.raises(SourceError, match=r"not CamVid's: heaven"):
        CamVid(classes="camvid-12").scan(tmp_path)


def test_camvid_32_of_a_smaller_class_file_is_refused(tmp_path: Path) -> None:
    (color_pairs(tmp_path, "a") / "label_colors.txt").write_text("128 128 128 Sky\n")
    with pytest.raises(
        SourceError, match=r"class file has 1 classes: use --classes au"
    ):
        CamVid(classes="camvid-32").scan(tmp_path)


# --- (d) colour labels as palette and RGBA files ---


def test_palette_label_counts_by_its_colours_and_not_its_indices(
    tmp_path: Path,
) -> None:
    color_pairs(tmp_path, "a")
    palette = Image.new("P", (WIDTH, HEIGHT), 1)
    # Index 0 is Car and index 1 Road: neither is the class id.
    palette.putpalette([*COLORS["Car"], *COLORS["Road"]])
    palette.paste(0, (0, 0, WIDTH, 2))
    palette.save(tmp_path / "a_L.png")
    labels = label_map_of(encode(CamVid().scan(tmp_path), tmp_path))
    names = list(COLORS)
    assert (labels[:2] == names.index("Car")).all()
    assert (labels[2:] == names.index("Road")).all()


def test_rgba_label_is_read_by_colour_whatever_its_alpha(tmp_path: Path) -> None:
    color_pairs(tmp_path, "a")
    alpha = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH, 1)
    pixels = np.concatenate([color_label("Sky", "Fence"), alpha], axis=2)
    save(tmp_path / "a_L.png", pixels)
    labels = label_map_of(encode(CamVid().scan(tmp_path), tmp_path))
    names = list(COLORS)
    assert labels[0].tolist() == [names.index("Sky")] * WIDTH
    assert labels[1].tolist() == [names.index("Fence")] * WIDTH


def test_rgba_frame_loses_its_alpha_and_says_so(tmp_path: Path) -> None:
    color_pairs(tmp_path, "a")
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    save(tmp_path / "a.png", pixels)
    record = encode(CamVid().scan(tmp_path), tmp_path)
    assert record.notes == ("alpha-removed",)
    assert (record.image.height, record.image.width) == (HEIGHT, WIDTH)


# --- class sets ---


def test_every_one_of_the_32_colours_lands_in_its_documented_group(
    tmp_path: Path,
) -> None:
    strip = np.array([list(DOCUMENTED_GROUPS)], np.uint8)  # [1, 32, 3]
    save(tmp_path / "a_L.png", strip)
    save(tmp_path / "a.png", strip)
    scan = CamVid(classes="camvid-12").scan(tmp_path)
    labels = label_map_of(encode(scan, tmp_path))[0].tolist()
    got = dict(zip(DOCUMENTED_GROUPS, labels, strict=True))
    assert len(got) == 32
    assert got == {c: INDEX_ORDER.index(n) for c, n in DOCUMENTED_GROUPS.items()}


def test_groups_hold_each_original_class_exactly_once() -> None:
    members = [member for group in GROUPS.values() for member in group]
    assert sorted(members) == sorted(COLORS)
    assert len(COLORS) == 32
    assert list(GROUPS) == INDEX_ORDER


def test_camvid_11_sends_void_to_255_and_counts_eleven_classes(tmp_path: Path) -> None:
    color_pairs(tmp_path, "a", names=("Void", "Sky"))
    scan = CamVid(classes="camvid-11").scan(tmp_path)
    labels = label_map_of(encode(scan, tmp_path))
    assert labels[:, 0].tolist() == [255, 0] * 3
    assert scan.label_map.ignore_id == 255
    inside = [c.id for c in scan.label_map.semantic_classes if c.id != 255]
    assert inside == list(range(11))


def test_camvid_11_of_index_labels_sends_index_11_to_255(tmp_path: Path) -> None:
    segnet(tmp_path, count=1)
    save(tmp_path / "trainannot" / "0.png", index_label(11))
    scan = CamVid(classes="camvid-11").scan(tmp_path)
    assert (label_map_of(encode(scan, tmp_path)) == 255).all()


def test_camvid_12_of_index_labels_keeps_them_as_they_are(tmp_path: Path) -> None:
    segnet(tmp_path, count=1)
    strip = np.arange(12, dtype=np.uint8)[None]
    save(tmp_path / "trainannot" / "0.png", strip)
    save(tmp_path / "train" / "0.png", np.zeros((1, 12, 3), np.uint8))
    scan = CamVid().scan(tmp_path)
    assert list(scan.label_map) == INDEX_ORDER
    assert scan.label_map.ignore_id == 11
    assert label_map_of(encode(scan, tmp_path)).tolist() == strip.tolist()


def test_camvid_32_numbers_the_colours_in_the_order_of_label_colors(
    tmp_path: Path,
) -> None:
    strip = np.array([list(COLORS.values())], np.uint8)
    save(tmp_path / "a_L.png", strip)
    save(tmp_path / "a.png", strip)
    scan = CamVid(classes="camvid-32").scan(tmp_path)
    assert label_map_of(encode(scan, tmp_path))[0].tolist() == list(range(32))
    assert scan.label_map.ignore_id == list(COLORS).index("Void")


def test_labels_option_overrides_what_the_layout_says(tmp_path: Path) -> None:
    color_pairs(tmp_path, "a")
    save(tmp_path / "a_L.png", index_label(8))
    scan = CamVid(labels="index").scan(tmp_path)
    assert scan.layout.endswith("index labels")
    assert (label_map_of(encode(scan, tmp_path)) == 8).all()


# --- unknown values ---


def _with_foreign_corner(root: Path) -> Path:
    color_pairs(root, "a")
    label = color_label("Sky")
    label[:2, :5] = (1, 2, 3)
    save(root / "a_L.png", label)
    return root


def test_unknown_colour_is_refused_with_file_colour_and_pixel_count(
    tmp_path: Path,
) -> None:
    scan = CamVid().scan(_with_foreign_corner(tmp_path))
    message = r"'a_L.png' has unknown colour \(1, 2, 3\) in 10 pixels: expected one of "
    with pytest.raises(AnnotationError, match=message) as caught:
        encode(scan, tmp_path)
    assert caught.value.reason == "unknown-label-color"


def test_colour_off_by_one_matches_nothing(tmp_path: Path) -> None:
    color_pairs(tmp_path, "a")
    save(tmp_path / "a_L.png", color_label("Sky") + np.uint8(1))
    with pytest.raises(AnnotationError, match=r"\(129, 129, 129\) in 48 pixels"):
        encode(CamVid().scan(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("classes", "void"),
    [("camvid-32", list(COLORS).index("Void")), ("camvid-12", 11), ("camvid-11", 255)],
)
def test_unknown_void_counts_the_pixels_that_it_voids(
    tmp_path: Path, classes: Any, void: int
) -> None:
    options = CamVid(unknown="void", classes=classes)
    record = encode(options.scan(_with_foreign_corner(tmp_path)), tmp_path)
    assert record.label_runs is not None
    assert record.label_runs.voided_pixels == 10
    assert (label_map_of(record)[:2, :5] == void).all()
    assert (label_map_of(record)[2:] != void).all()
    assert "unknown-labels-voided" in record.notes


def test_unknown_index_is_refused_with_its_value_and_pixel_count(
    tmp_path: Path,
) -> None:
    segnet(tmp_path, count=1)
    label = index_label()
    label[0, :3] = 12
    save(tmp_path / "trainannot" / "0.png", label)
    with pytest.raises(
        AnnotationError, match=r"'trainannot/0.png' has unknown value 12 in 3 pixels"
    ):
        encode(CamVid().scan(tmp_path), tmp_path)


# --- what every layout gets ---

LAYOUTS: Mapping[str, tuple[str, str]] = {
    "segnet": ("train/{}.png", "trainannot/{}.png"),
    "prepped": ("images_prepped_train/{}.png", "annotations_prepped_train/{}.png"),
    "beside": ("{}.png", "{}_L.png"),
    "raw": ("701_StillsRaw_full/{}.png", "LabeledApproved_full/{}_L.png"),
    "labels": ("train/{}.png", "train_labels/{}_L.png"),
}


@pytest.fixture(params=LAYOUTS)
def layout(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Path, Callable[[str], str], Callable[[str], str]]:
    image, label = LAYOUTS[request.param]
    is_index = request.param in ("segnet", "prepped")
    for stem in ("a", "b", "c"):
        save_frame(tmp_path / image.format(stem))
        pixels = index_label() if is_index else color_label("Road")
        save(tmp_path / label.format(stem), pixels)
    return tmp_path, image.format, label.format


def test_scan_gives_unique_keys_and_valid_dicts(layout: Any) -> None:
    root, image, _ = layout
    annotations = list(CamVid().scan(root).annotations)
    for annotation in annotations:
        validate_annotation(annotation)
    assert sorted(a["image"] for a in annotations) == [image(s) for s in "abc"]
    assert len({record_key(a) for a in annotations}) == 3


def test_image_without_its_label_is_reported_as_a_missing_label(layout: Any) -> None:
    root, image, label = layout
    (root / label("b")).unlink()
    scan = CamVid().scan(root)
    assert pairs(scan)[image("b")] == label("b")
    with pytest.raises(ImageError, match=f"label image '{label('b')}' is missing"):
        make_plan(scan, root, "camvid", BuildOptions())


def test_label_without_its_image_is_reported_as_a_missing_image(layout: Any) -> None:
    root, image, label = layout
    (root / image("b")).unlink()
    scan = CamVid().scan(root)
    assert pairs(scan)[image("b")] == label("b")
    with pytest.raises(ImageError, match=f"image '{image('b')}' is missing"):
        make_plan(scan, root, "camvid", BuildOptions())


def test_hidden_and_resource_fork_files_are_ignored(layout: Any) -> None:
    root, image, label = layout
    before = pairs(CamVid().scan(root))
    for path in (image("a"), label("a")):
        folder = (root / path).parent
        for name in (f"._{Path(path).name}", ".DS_Store", ".hidden.png", "Thumbs.db"):
            (folder / name).write_bytes(b"\0\5\x16\7")
    (root / ".git").mkdir()
    assert pairs(CamVid().scan(root)) == before


def test_annotations_lead_to_files_that_can_be_read(layout: Any) -> None:
    root, _, _ = layout
    for annotation in CamVid().scan(root).annotations:
        path = annotation["image"]
        assert read_bytes(root, path, what="image") == (root / path).read_bytes()


@pytest.mark.parametrize("content", [(), ("readme.txt",), ("a.png", "b.png")])
def test_folder_of_no_layout_is_refused_with_what_was_expected(
    tmp_path: Path, content: tuple[str, ...]
) -> None:
    for name in content:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        SourceError, match=r"no CamVid layout is recognised in .*: expec"
    ):
        CamVid().scan(tmp_path)


def test_real_camvid_has_367_training_and_101_validation_pairs(
    shared_data: Path,
) -> None:
    scan = CamVid().scan(shared_data / "camvid")
    splits = [a["split"] for a in scan.annotations]
    assert (splits.count("train"), splits.count("val"), len(splits)) == (367, 101, 468)
    assert scan.warnings == ()


def test_class_without_a_void_takes_unknown_colours_as_255(tmp_path: Path) -> None:
    label_map = camvid_classes.ungrouped({"Sky": (1, 1, 1)}, unknown_to_void=True)
    assert (label_map.ignore_id, label_map.unknown_id) == (255, 255)
