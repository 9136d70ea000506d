"""Where images and masks lie, in the layouts of public datasets and of people's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdata.errors import SourceError
from segdata.formats.base import Scan
from segdata.formats.mask_folder.format import MaskFolder

LAYOUTS = [
    ("images/{}.jpg", "masks/{}.png", None),
    ("image/{}.png", "label/{}.png", None),
    ("img/{}.jpg", "ann/{}.png", None),
    ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", None),
    ("PNGImages/{}.png", "PedMasks/{}_mask.png", None),
    ("Original/{}.tif", "Ground Truth/{}.tif", None),
    ("top/{}.tif", "gts/{}.tif", None),
    ("2_Ortho_RGB/t_{}_RGB.tif", "5_Labels_all/t_{}_label.tif", None),
    ("Training_Data/I_{}.jpg", "GroundTruth/I_{}_segmentation.png", "training"),
    ("images/img_{}.jpg", "masks/mask_{}.png", None),
    ("images/image{}.jpg", "masks/label{}.png", None),
    ("img/{}.jpg", "masks_machine/{}.jpg.png", None),
    ("original_images/{}.jpg", "label_images_semantic/{}.png", None),
    ("images/train/{}.jpg", "masks/train/{}.png", "train"),
    ("val/images/{}.jpg", "val/masks/{}.png", "val"),
    ("train/{}.jpg", "train_masks/{}_mask.gif", "train"),
    ("train_images/{}.png", "train_labels/{}.png", "train"),
    ("images_val/{}.png", "labels_val/{}.png", "val"),
    ("train-org-img/{}.jpg", "train-label-img/{}_lab.png", "train"),
    ("DUTS-TR-Image/{}.jpg", "DUTS-TR-Mask/{}.png", "train"),
    ("test/{}.png", "testannot/{}.png", "test"),
    ("images/val2017/{}.png", "annotations/val2017/{}.png", "val"),
    ("train_val/images/{}.png", "train_val/masks/{}.png", "trainval"),
    ("uavid_val/seq3/Images/{}.png", "uavid_val/seq3/Labels/{}.png", "val"),
    ("stare-images/im{}.ppm", "labels-ah/im{}.ah.ppm", None),
    ("tiff/train/{}.tiff", "tiff/train_labels/{}.tif", "train"),
    ("Train/Urban/images_png/{}.png", "Train/Urban/masks_png/{}.png", "Train"),
    ("train/images/{}.tif", "train/gt/{}.tif", "train"),
    ("{}.jpg", "{}_mask.png", None),
    ("{}_sat.jpg", "{}_mask.png", None),
    ("{}.jpg", "{}.png", None),
    ("img_{}.png", "mask_{}.png", None),
    ("train/{}.jpg", "train/{}_mask.png", "train"),
    ("benign/b ({}).png", "benign/b ({})_mask.png", None),
    ("a/{}.png", "b/{}.png", None),
    ("images/10k/train/{}.jpg", "labels/sem_seg/masks/train/{}.png", "train"),
    ("TrainVal_img/val_images/{}.jpg", "TrainVal_ann/val_segmentations/{}.png", "val"),
    ("Training/Images/{}.jpg", "Training/Category_ids/{}.png", "Training"),
    ("training/image_2/{}_10.png", "training/semantic/{}_10.png", "training"),
    ("JPEGImages/480p/bear/{}.jpg", "Annotations/480p/bear/{}.png", None),
    ("CUB/images/1.Auk/a_{}.jpg", "segmentations/1.Auk/a_{}.png", None),
    ("TestDataset/CAMO/Imgs/{}.jpg", "TestDataset/CAMO/GT/{}.png", "test"),
    ("train/sat/{}.tiff", "train/map/{}.tif", "train"),
    ("images/train2017/{}.jpg", "stuffthingmaps/train2017/{}.png", "train"),
    ("RGB/{}.png", "GT/LABELS/{}.png", None),
    ("image_2/um_{}.png", "gt_image_2/um_road_{}.png", None),
    (
        "v/camera/front/v_camera_front_{}.png",
        "v/label/front/v_label_front_{}.png",
        None,
    ),
    ("data/film_1/origin/{}.jpg", "data/film_1/mask/{}.png", None),
    ("images/Zürich {}.JPG", "masks/Zu\u0308rich {}.PNG", None),
]


def draw(path: Path, number: int, *, is_mask: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    if is_mask:
        pixels = np.repeat(rng.integers(0, 3, (12, 1), np.uint8), 16, axis=1)
    else:
        pixels = rng.integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=95)


def draw_pairs(root: Path, image: str, *masks: str) -> dict[str, str]:
    """Four images with masks of three values; returns the first mask of each."""
    pairs = {}
    for number in (3, 8, 21, 110):
        draw(root / image.replace("{}", f"{number}"), number, is_mask=False)
        for mask in masks:
            draw(root / mask.replace("{}", f"{number}"), number, is_mask=True)
        for mask in masks[:1]:
            pairs[image.replace("{}", f"{number}")] = mask.replace("{}", f"{number}")
    return pairs


def found(scan: Scan) -> dict[str, str]:
    return {a["image"]: a["label_image"]["path"] for a in scan.annotations}


@pytest.mark.parametrize(("image", "mask", "split"), LAYOUTS)
def test_images_and_masks_are_found(
    image: str, mask: str, split: str | None, tmp_path: Path
) -> None:
    pairs = draw_pairs(tmp_path, image, mask)
    scan = MaskFolder().scan(tmp_path)
    annotations = list(scan.annotations)
    assert {a["image"]: a["label_image"]["path"] for a in annotations} == pairs
    assert {a.get("split") for a in annotations} == {split}
    guess = MaskFolder.recognize(tmp_path)
    assert guess is not None
    assert dict(guess.options) == {}


def test_what_names_have_around_their_shared_part_is_said(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}_training.tif", "1st_manual/{}_manual1.gif")
    assert "X_training with X_manual1" in MaskFolder().scan(tmp_path).layout


@pytest.mark.parametrize(
    ("options", "image", "mask"),
    [
        ({}, "{}.jpg", "{}_1st.png"),
        ({"mask_suffix": "_2nd"}, "{}.jpg", "{}_2nd.png"),
    ],
)
def test_of_several_masks_of_an_image_the_first_is_taken_and_said(
    options: dict[str, str], image: str, mask: str, tmp_path: Path
) -> None:
    """As in CHASE_DB1, where two people drew each image."""
    draw_pairs(tmp_path, "{}.jpg", "{}_1st.png", "{}_2nd.png")
    scan = MaskFolder(**options).scan(tmp_path)
    assert found(scan) == {image.format(n): mask.format(n) for n in (3, 8, 21, 110)}
    other = "_2nd" if not options else "_1st"
    assert scan.warnings[0].startswith(
        f"4 files left out (other masks of the same images, named X{other}: "
        f"--mask-suffix '{other}' takes them)"
    )


def test_masks_are_preferred_to_their_pictures(tmp_path: Path) -> None:
    names = "color", "instanceIds", "labelIds", "labelTrainIds"
    masks = [f"gt/{{}}_gtFine_{name}.png" for name in names]
    draw_pairs(tmp_path, "images/{}_leftImg8bit.png", *masks)
    assert found(MaskFolder().scan(tmp_path)) == {
        f"images/{n}_leftImg8bit.png": f"gt/{n}_gtFine_labelIds.png"
        for n in (3, 8, 21, 110)
    }


@pytest.mark.parametrize("other", ["mask/{}_mask.png", "labels_color/{}.png"])
def test_field_of_view_and_pictures_are_not_taken_for_the_masks(
    other: str, tmp_path: Path
) -> None:
    draw_pairs(tmp_path, "images/{}.png", "labels/{}.png", other)
    scan = MaskFolder().scan(tmp_path)
    assert set(found(scan).values()) == {f"labels/{n}.png" for n in (3, 8, 21, 110)}
    folder = other.partition("/")[0]
    assert scan.warnings[0] == (
        f"took labels/ as the masks of images/; {folder}/ would fit too: "
        "--mask-folder takes another"
    )
    chosen = MaskFolder(mask_folder=folder).scan(tmp_path)
    assert set(found(chosen).values()) == {other.format(n) for n in (3, 8, 21, 110)}


@pytest.mark.parametrize("other", ["overlay/{}.png", "Visualization/{}.png"])
def test_folders_made_to_look_at_are_no_masks(other: str, tmp_path: Path) -> None:
    draw_pairs(tmp_path, "JPEGImages/{}.png", other)
    assert MaskFolder.recognize(tmp_path) is None
    with pytest.raises(SourceError, match=r"expected the folders images/ and masks/"):
        MaskFolder().scan(tmp_path)


def test_folders_of_photos_are_no_dataset(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        for number in range(4):
            draw(tmp_path / name / f"{number}.png", number, is_mask=False)
    assert MaskFolder.recognize(tmp_path) is None


def test_affixes_are_settable(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/a_{}_x.png", "masks/{}_y.png")
    assert found(MaskFolder(image_suffix="a_*_x", mask_suffix="_y").scan(tmp_path)) == {
        f"images/a_{n}_x.png": f"masks/{n}_y.png" for n in (3, 8, 21, 110)
    }


def test_image_without_mask_among_many_is_told(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}_im.png", "masks/{}_seg.png")
    (tmp_path / "masks/21_seg.png").unlink()
    scan = MaskFolder().scan(tmp_path)
    assert scan.warnings[0] == "1 image has no mask: images/21_im.png"
    assert found(scan)["images/21_im.png"] == "masks/21_seg.png"


def test_split_that_nobody_labelled_is_left_out(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "train/{}_sat.jpg", "train/{}_mask.png")
    draw_pairs(tmp_path, "valid/{}_sat.jpg")
    scan = MaskFolder().scan(tmp_path)
    assert {a.get("split") for a in scan.annotations} == {"train"}
    assert scan.warnings[0] == (
        "4 files left out (no image of the split valid has a mask), e.g. "
        "valid/110_sat.jpg"
    )


@pytest.mark.parametrize(
    ("image", "mask", "other"),
    [
        ("train/images/{}.jpg", "train/masks/{}.png", "test/images/{}.jpg"),
        ("train_images/{}.jpg", "train_masks/{}.png", "test_images/{}.jpg"),
    ],
)
def test_images_of_a_split_without_masks_are_told(
    image: str, mask: str, other: str, tmp_path: Path
) -> None:
    pairs = draw_pairs(tmp_path, image, mask)
    draw_pairs(tmp_path, other)
    scan = MaskFolder().scan(tmp_path)
    assert found(scan) == pairs
    assert scan.warnings[0] == (
        "4 files left out (no image of the split test has a mask), e.g. "
        f"{other.format(110)}"
    )


def save(path: Path, pixels: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def rows(*marked: int) -> object:
    """A mask of 255 in some of its rows."""
    pixels = np.zeros((12, 16), np.uint8)
    pixels[list(marked)] = 255
    return pixels


def test_further_masks_of_an_image_are_objects(tmp_path: Path) -> None:
    """As in BUSI, where an image of two tumours has two masks."""
    draw_pairs(tmp_path, "b/b ({}).png")
    for number in (3, 8, 21, 110):
        save(tmp_path / f"b/b ({number})_mask.png", rows(1, 2))
    save(tmp_path / "b/b (8)_mask_1.png", rows(7))
    scan = MaskFolder().scan(tmp_path)
    masks = {a["image"]: [m["path"] for m in a["mask_files"]] for a in scan.annotations}
    assert masks["b/b (8).png"] == ["b/b (8)_mask.png", "b/b (8)_mask_1.png"]
    assert masks["b/b (3).png"] == ["b/b (3)_mask.png"]
    assert scan.label_map.unpainted_id == 0


@pytest.mark.parametrize("other", ["masks/right/{}.png", "masks/left/{}_b.png"])
def test_masks_of_parts_are_not_taken_for_the_whole(other: str, tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}.png")
    for number in (3, 8, 21, 110):
        save(tmp_path / f"masks/left/{number}.png", rows(1, 2, 3))
        save(tmp_path / other.format(number), rows(7, 8))
    with pytest.raises(SourceError, match=r"mark different pixels, .*: are they cla"):
        MaskFolder().scan(tmp_path)
    assert MaskFolder.recognize(tmp_path) is not None


def test_names_that_pair_by_chance_are_none(tmp_path: Path) -> None:
    """As Label Studio calls its brush masks: no image is named."""
    for number in range(4):
        save(tmp_path / f"images/0a{number}-p{number}.png", rows(1))
        save(tmp_path / f"masks/task-{number}-by-1-tag-car-{number // 3}.png", rows(2))
    with pytest.raises(SourceError, match="has no images with masks"):
        MaskFolder().scan(tmp_path)


def test_masks_that_begin_like_an_image_are_its_objects(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "train/{}.jpg")
    for number, code in ((3, "0f"), (3, "1c"), (8, "2d"), (21, "3a")):
        save(tmp_path / f"masks/{number}_m01_{code}.png", rows(2))
    scan = MaskFolder().scan(tmp_path)
    assert {a["image"]: len(a["mask_files"]) for a in scan.annotations} == {
        "train/3.jpg": 2,
        "train/8.jpg": 1,
        "train/21.jpg": 1,
    }


def test_folder_of_several_datasets_is_none(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "one/images/{}.jpg", "one/masks/{}.png")
    draw_pairs(tmp_path, "two/img/{}.jpg", "two/ann/{}.png")
    assert MaskFolder.recognize(tmp_path) is None
    with pytest.raises(
        SourceError, match=r"several datasets, one/images/, two/img/: give"
    ):
        MaskFolder().scan(tmp_path)


def test_of_too_many_folders_not_some_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        draw_pairs(tmp_path, f"{name}/images/{{}}.jpg", f"{name}/masks/{{}}.png")
    assert len(found(MaskFolder().scan(tmp_path))) == 12
    monkeypatch.setattr("segdata.formats.mask_folder.leaves._MOST_FOLDERS", 2)
    with pytest.raises(SourceError, match=r"has no images with masks"):
        MaskFolder().scan(tmp_path)


# --- Lists of splits ---


def write_lists(folder: Path, **lists: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines.split(",")) + "\n")


@pytest.mark.parametrize("folder", ["ImageSets/Segmentation", "splits", "", "my"])
@pytest.mark.parametrize("line", ["{}", "{}.png", "images/{}.png", "{}.png m/{}.png"])
def test_lists_say_the_splits(folder: str, line: str, tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}.png", "masks/{}.png")
    lines = [line.replace("{}", n) for n in ("3", "8", "21")]
    write_lists(tmp_path / folder, train=",".join(lines[:2]), val=lines[2])
    write_lists(tmp_path / folder, trainval=",".join(lines))
    options = {"split_lists": "my"} if folder == "my" else {}
    scan = MaskFolder(**options).scan(tmp_path)
    assert {a["image"]: a["split"] for a in scan.annotations} == {
        "images/3.png": "train",
        "images/8.png": "train",
        "images/21.png": "val",
    }
    path = f"{folder}/trainval.txt".lstrip("/")
    left = f"1 image left out that no list in {folder or 'SOURCE'}/ names"
    assert any(left in line for line in scan.warnings)
    if folder == "my":
        assert f"3 images of {path} stand in an earlier list, which counts" in (
            scan.warnings
        )


def test_line_that_names_no_image_is_a_problem(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}.png", "masks/{}.png")
    write_lists(tmp_path / "my", train="3,../8", val="4")
    scan = MaskFolder(split_lists="my").scan(tmp_path)
    assert {a["image"]: a["split"] for a in scan.annotations} == {
        "images/3.png": "train",
        "images/8.png": "train",
    }
    [problem] = scan.problems
    assert problem.reason == "listed-in-vain"
    assert "line 1 of my/val.txt is '4': no image is named so" in str(problem)


def test_line_that_is_a_folder_names_its_images(tmp_path: Path) -> None:
    """As in DAVIS, whose lists name films."""
    for film in ("bear", "camel"):
        names = (
            f"{side}/480p/{film}/{{}}.png" for side in ("JPEGImages", "Annotations")
        )
        draw_pairs(tmp_path, *names)
    write_lists(tmp_path / "ImageSets/2017", train="bear", val="camel")
    scan = MaskFolder().scan(tmp_path)
    assert {(a["image"].split("/")[2], a["split"]) for a in scan.annotations} == {
        ("bear", "train"),
        ("camel", "val"),
    }


def test_lists_of_other_images_are_passed_over(tmp_path: Path) -> None:
    """As in LandCover.ai before its tiles are cut."""
    draw_pairs(tmp_path, "images/{}.png", "masks/{}.png")
    write_lists(tmp_path, train="3_0,3_1,3_2", val="8_0")
    scan = MaskFolder().scan(tmp_path)
    assert {a.get("split") for a in scan.annotations} == {None}
    assert "the lists of splits in SOURCE/ are passed over: most of" in scan.warnings[0]


def test_default_list_makes_no_split(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}.png", "masks/{}.png")
    write_lists(tmp_path / "my", default="3,8")
    scan = MaskFolder(split_lists="my").scan(tmp_path)
    assert [a.get("split") for a in scan.annotations] == [None, None]


def test_folder_without_lists_is_refused(tmp_path: Path) -> None:
    draw_pairs(tmp_path, "images/{}.png", "masks/{}.png")
    with pytest.raises(SourceError, match=r"my has no lists of splits: expected files"):
        MaskFolder(split_lists="my").scan(tmp_path)
