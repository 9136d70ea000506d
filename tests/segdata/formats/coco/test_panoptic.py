"""Panoptic JSON and PNGs: every segment an object, every oddity its written outcome."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folder import (
    ABSENT,
    HEIGHT,
    WIDTH,
    build,
    image_row,
    records,
    rejects,
    without_absent,
    write,
)
from numpy.typing import NDArray
from PIL import Image

from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.errors import AnnotationError, OptionError, SegdataError, SourceError
from segdata.formats.coco.format import Coco

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 200, "name": "sky", "isthing": 0, "supercategory": "outdoor", "x": [1]},
]
THING, STUFF, CROWD = 3, 70_000, 0xFF_FE_FD
JSON_NAME = "annotations/panoptic_train2017.json"
PNG_FOLDER = "annotations/panoptic_train2017"


def id_map() -> NDArray[np.int64]:
    """A thing in two parts, stuff around it, a crowd, and void in the last row."""
    ids = np.full((HEIGHT, WIDTH), STUFF)
    ids[2:6, 2:5] = THING
    ids[2:6, 9:12] = THING
    ids[7:9, 1:12] = CROWD
    ids[-1] = 0
    return ids


def save_ids(path: Path, ids: NDArray[np.int64], mode: str = "RGB") -> None:
    """As panopticapi's `id2rgb` spells them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
    Image.fromarray(rgb.astype(np.uint8)).convert(mode).save(path, "PNG")


def segment(segment_id: Any = THING, category_id: Any = 1, **more: Any) -> Any:
    row = {
        "id": segment_id,
        "category_id": category_id,
        "iscrowd": 0,
        "bbox": [2, 2, 10, 4],
        "area": 24,
        **more,
    }
    return without_absent(row)


SEGMENTS = [segment(), segment(STUFF, 200), segment(CROWD, 1, iscrowd=1)]


def panoptic_row(image_id: Any = 1, segments: Any = None, **more: Any) -> Any:
    row = {
        "image_id": image_id,
        "file_name": "a.png" if image_id == 1 else "b.png",
        "segments_info": SEGMENTS if segments is None else segments,
        **more,
    }
    return without_absent(row)


def table(*rows: Any, **more: Any) -> dict[str, Any]:
    data = {
        "info": {"year": 2017},
        "licenses": [{"id": 1, "name": "x"}],
        "images": [image_row(), image_row(2, "b.png")],
        "annotations": list(rows) or [panoptic_row(), panoptic_row(2)],
        "categories": CATEGORIES,
        **more,
    }
    return without_absent(data)


def write_panoptic(root: Path, data: Any = None, *, pngs: str = PNG_FOLDER) -> Path:
    write(root, table() if data is None else data, name=JSON_NAME)
    for name in ("a.png", "b.png"):
        save_ids(root / pngs / name, id_map())
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_panoptic(tmp_path / "source")


# --- what becomes of it --------------------------------------------------------------


def test_every_segment_is_an_object_with_its_mask(root: Path) -> None:
    manifest = build(root)
    assert manifest.layout == (
        f"panoptic_train2017.json with images/ and {PNG_FOLDER}/"
    )
    found = records(root)
    assert len(found) == 2
    for record in found.values():
        assert record.notes == ()
        assert record.label_map() is None
        by_id = {item.source["id"]: item for item in record.objects}
        assert list(by_id) == [THING, STUFF, CROWD]
        for segment_id, item in by_id.items():
            np.testing.assert_array_equal(record.mask(item), id_map() == segment_id)
        assert [i.name for i in record.objects] == ["person", "sky", "person"]
        assert [i.is_crowd for i in record.objects] == [False, False, True]
        assert by_id[THING].source == segment()
        assert by_id[THING].area == 24
        assert by_id[THING].box == pytest.approx((2, 2, 6, 12), rel=1e-6)
        assert record.source == {"panoptic": {"file_name": f"{record.key[-1]}.png"}}


def test_classes_tell_things_from_stuff(root: Path) -> None:
    person, sky = build(root).label_map.object_classes
    assert (person.is_thing, sky.is_thing) == (True, False)
    assert (person.source_ids, sky.source_ids) == ((1,), (200,))
    assert (person.color, sky.supercategory) == ((220, 20, 60), "outdoor")
    assert sky.source == {"x": [1]}


def test_what_the_file_says_of_itself_is_in_the_manifest(root: Path) -> None:
    assert build(root).source_info == {
        "panoptic_train2017.json": {
            "info": {"year": 2017},
            "licenses": [{"id": 1, "name": "x"}],
        }
    }


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_colour_counts_however_the_png_stores_it(root: Path, mode: str) -> None:
    save_ids(root / PNG_FOLDER / "a.png", id_map(), mode)
    if mode == "P":  # Pillow's own palette has other colours
        colors = [THING, STUFF, CROWD, 0]
        index = np.searchsorted(np.sort(colors), id_map()).astype(np.uint8)
        image = Image.fromarray(index)
        palette = [(c & 255, c >> 8 & 255, c >> 16) for c in np.sort(colors).tolist()]
        image.putpalette([v for color in palette for v in color])
        image.save(root / PNG_FOLDER / "a.png")
    build(root)
    record = records(root)["images/a"]
    for item in record.objects:
        expected = id_map() == item.source["id"]
        np.testing.assert_array_equal(record.mask(item), expected)


@pytest.mark.parametrize(
    "folder",
    [PNG_FOLDER, "panoptic_train2017", "panoptic/train2017", "annotations/panoptic"],
)
def test_folder_of_the_pngs_is_found(tmp_path: Path, folder: str) -> None:
    root = write_panoptic(tmp_path / "source", pngs=folder)
    assert Coco().scan(root).layout.endswith(f"with images/ and {folder}/")


def test_folder_of_the_pngs_is_given(tmp_path: Path) -> None:
    root = write_panoptic(tmp_path / "source", pngs="some/where")
    message = (
        r"the panoptic PNGs of panoptic_train2017\.json are not found, e\.g\. 'a\.png':"
        r" tried the folders annotations/panoptic_train2017, .* theirs with --panoptic-"
    )
    with pytest.raises(SourceError, match=message):
        Coco().scan(root)
    build(root, coco=Coco(panoptic_pngs="some/where"))
    assert len(records(root)["images/a"].objects) == 3
    with pytest.raises(OptionError, match=r"--panoptic-pngs is '/some': expected a fo"):
        Coco(panoptic_pngs="/some").scan(root)


def test_captions_go_with_segments_too(root: Path) -> None:
    rows = [{"id": 1, "image_id": 1, "caption": "hello"}]
    path = root / "annotations" / "captions_train2017.json"
    path.write_text(json.dumps({"annotations": rows}))
    build(root)
    assert records(root)["images/a"].captions == ("hello",)


def test_image_without_segments_stays_with_a_warning(root: Path) -> None:
    write_panoptic(root, table(panoptic_row()))
    manifest = build(root)
    assert list(manifest.warnings) == [
        "panoptic_train2017.json: 1 images have no panoptic annotation"
    ]
    assert records(root)["images/b"].objects == ()


def test_segment_without_box_and_area_gets_those_of_its_mask(root: Path) -> None:
    bare = [{"id": s["id"], "category_id": s["category_id"]} for s in SEGMENTS]
    write_panoptic(root, table(panoptic_row(segments=bare), panoptic_row(2)))
    build(root)
    thing = records(root)["images/a"].objects[0]
    assert thing.box == pytest.approx((2, 2, 6, 12), rel=1e-6)
    assert thing.area == 24


def test_image_of_void_alone_has_no_objects(root: Path) -> None:
    save_ids(root / PNG_FOLDER / "a.png", np.zeros((HEIGHT, WIDTH), np.int64))
    write(root, table(panoptic_row(segments=[]), panoptic_row(2)), name=JSON_NAME)
    build(root)
    assert records(root)["images/a"].objects == ()


def test_order_of_the_file_does_not_matter(root: Path) -> None:
    plans, maps = [], []
    for seed in range(4):
        draw = random.Random(seed)

        def turned(value: Any, draw: random.Random = draw) -> Any:
            if isinstance(value, Mapping):
                items = draw.sample(list(value.items()), len(value))
                return {k: turned(v, draw) for k, v in items}
            if isinstance(value, list):
                return [turned(v, draw) for v in value]
            return value

        data = turned(table())
        for name in ("images", "annotations", "categories"):
            draw.shuffle(data[name])
        for row in data["annotations"]:
            draw.shuffle(row["segments_info"])
        write(root, data, name=JSON_NAME)
        scan = Coco(semantic=True).scan(root)
        maps.append(json.dumps([scan.label_map.to_json(), scan.source_info]))
        plans.append(dict(make_plan(scan, root, "coco", BuildOptions()).lines))
    assert plans[1:] == plans[:-1]
    assert maps[1:] == maps[:-1]


# --- kinds ---------------------------------------------------------------------------


def test_instances_come_first_where_both_lie_side_by_side(root: Path) -> None:
    write(root)
    assert build(root).layout == "instances_train2017.json with images/"
    found = build(root, coco=Coco(kind="panoptic")).layout
    assert found.startswith("panoptic_train2017.json with images/")


@pytest.mark.parametrize("kind", ["auto", "panoptic"])
def test_panoptic_file_of_any_name_is_recognised_by_its_content(
    tmp_path: Path, kind: Any
) -> None:
    root = write_panoptic(tmp_path / "source")
    (root / JSON_NAME).rename(root / "annotations" / "mine.json")
    options = Coco(kind=kind, panoptic_pngs=PNG_FOLDER)
    build(root, coco=options)
    assert len(records(root)["images/a"].objects) == 3


def test_kind_that_is_not_there_is_told(root: Path, tmp_path: Path) -> None:
    message = r"no COCO annotations of the kind instances are found in"
    with pytest.raises(SourceError, match=message):
        Coco(kind="instances").scan(root)
    other = write(tmp_path / "other")
    (other / "annotations" / "instances_train2017.json").rename(
        other / "annotations" / "captions_x.json"
    )
    with pytest.raises(SourceError, match=r"of the kind panoptic are found in .*other"):
        Coco(kind="panoptic", annotations="annotations").scan(other)


def test_kind_that_the_content_is_not_is_told(root: Path, tmp_path: Path) -> None:
    message = r"--kind is instances, and .* are panoptic in panoptic_train2017\.json: c"
    with pytest.raises(OptionError, match=message):
        Coco(kind="instances", annotations=JSON_NAME).scan(root)
    other = write(tmp_path / "other")
    given = "annotations/instances_train2017.json"
    with pytest.raises(
        OptionError, match=r"--kind is panoptic, and .* are instances i"
    ):
        Coco(kind="panoptic", annotations=given).scan(other)


def test_files_of_both_kinds_are_not_mixed(root: Path) -> None:
    write(root, name="annotations/mine.json")
    (root / JSON_NAME).rename(root / "annotations" / "other.json")
    message = r"are instances in mine\.json; panoptic in other\.json: choose files of"
    with pytest.raises(OptionError, match=message):
        Coco().scan(root)


def test_file_without_annotations_goes_with_either_kind(root: Path) -> None:
    data = table(images=[image_row(9, "c.png")], annotations=[])
    write(root, data, name="annotations/panoptic_val2017.json")
    (root / "images" / "c.png").write_bytes((root / "images" / "a.png").read_bytes())
    scan = Coco().scan(root)
    counts = {"train": 0, "val": 0}
    for annotation in scan.annotations:
        counts[annotation["split"]] += len(annotation.get("objects", ()))
    assert counts == {"train": 6, "val": 0}
    assert list(scan.warnings) == [
        "panoptic_val2017.json: 1 images have no panoptic annotation"
    ]


def test_options_of_the_other_kind_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"--keypoints is 'x\.json', but panoptic seg"
    ):
        Coco(keypoints="x.json").scan(root)
    other = write(tmp_path / "other")
    with pytest.raises(
        OptionError, match=r"--panoptic-pngs is 'x', but the annotation"
    ):
        Coco(panoptic_pngs="x").scan(other)


# --- segments that are refused, and images that are ----------------------------------


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A panoptic annotation of image 1 of which something is refused."""

    message: str
    reason: str
    stage: str = "object"
    row: dict[str, Any] = field(default_factory=dict)
    ids: Any = None
    png: bytes | None = None
    kept: int = 3


def segments(*rows: Any) -> dict[str, Any]:
    return {"segments_info": list(rows)}


def replaced(**fields: Any) -> dict[str, Any]:
    """The thing with other fields, beside the others."""
    return segments(without_absent({**segment(), **fields}), *SEGMENTS[1:])


def with_ids(old: int, new: int) -> NDArray[np.int64]:
    ids = id_map()
    ids[ids == old] = new
    return ids


def png_bytes(mode: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG that claims 10^10 pixels, with checksums that are right."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(k, d) for k, d in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def record_bad(message: str, reason: str, **more: Any) -> Bad:
    return Bad(message=message, reason=reason, stage="encode", **more)


UNSAFE = r"may leave the image folder: expected a relative path"

BAD: dict[str, Bad] = {
    "segment that is not in the PNG": Bad(
        row=segments(*SEGMENTS, segment(4)),
        message=r"annotation 4: its segment 4 is not in the mask image '.*a\.png': exp",
        reason="segment-missing",
    ),
    "pixels of a segment that no segments_info names": Bad(
        row=segments(*SEGMENTS[1:]),
        message=r"has pixels of the segments 3, which no annotation names: expected an",
        reason="segment-unclaimed",
        kept=2,
    ),
    "no segments for many pixels": Bad(
        row=segments(),
        message=r"pixels of the segments 3, 70000, 16776957, which no annotation names",
        reason="segment-unclaimed",
        kept=0,
    ),
    "segment of id 0": Bad(
        row=segments(*SEGMENTS, segment(0)),
        message=r"annotation 0: its segment has the id 0, which is void in the mask im",
        reason="segment-void",
    ),
    "segment id twice": Bad(
        row=segments(segment(), *SEGMENTS),
        message=r"annotation 3: its segment 3 of the mask image .* belongs to 2 annota",
        reason="segment-doubled",
        kept=2,
    ),
    "segment id beyond 24 bits": Bad(
        row=segments(*SEGMENTS, segment(2**24)),
        message=r"annotation 16777216: its segment 16777216 is not in the mask image",
        reason="segment-missing",
    ),
    "segment id beyond 32 bits": Bad(
        row=segments(*SEGMENTS, segment(2**40)),
        message=r"'mask_value' of annotation 1099511627776 is 1099511627776: expec",
        reason="bad-annotation",
    ),
    "segment id negative": Bad(
        row=segments(*SEGMENTS, segment(-3)),
        message=r"'mask_value' of annotation -3 is -3: expected 0 to",
        reason="bad-annotation",
    ),
    "segment id text": Bad(
        row=segments(*SEGMENTS, segment("3")),
        message=r"'mask_value' of annotation 3 is a str: expected an integer",
        reason="bad-annotation",
    ),
    "segment id bool": Bad(
        row=segments(*SEGMENTS, segment(True)),
        message=r"annotation True is a bool: expected an integer",
        reason="bad-annotation",
    ),
    "segment id float": Bad(
        row=segments(*SEGMENTS, segment(3.5)),
        message=r"annotation 3\.5 is a float: expected an integer",
        reason="bad-annotation",
    ),
    "segment without id": Bad(
        row=segments(*SEGMENTS, segment(ABSENT)),
        message=r"'mask_value' of .* is a NoneType: expected an integer, got None",
        reason="bad-annotation",
    ),
    "segment that is a number": Bad(
        row=segments(*SEGMENTS, 5),
        message=r"object 3 is a int: expected a dict",
        reason="bad-annotation",
    ),
    "segment that is a list": Bad(
        row=segments(*SEGMENTS, [3, 1]),
        message=r"object 3 is a list: expected a dict",
        reason="bad-annotation",
    ),
    "segment that is null": Bad(
        row=segments(*SEGMENTS, None),
        message=r"object 3 is a NoneType: expected a dict",
        reason="bad-annotation",
    ),
    "unknown category": Bad(
        row=replaced(category_id=7),
        message=r"annotation 3 is of the unknown class 7: known are 1, 200",
        reason="unknown-object-class",
        kept=2,
    ),
    "no category": Bad(
        row=replaced(category_id=ABSENT),
        message=r"annotation 3 has no class: expected 'category_id'",
        reason="object-without-class",
        kept=2,
    ),
    "box of negative size": Bad(
        row=replaced(bbox=[2, 2, -1, 4]),
        message=r"annotation 3 has the box \[2, 2, -1, 4\]: expected finite numbers",
        reason="bad-box",
        kept=2,
    ),
    "area NaN": Bad(
        row=replaced(area=float("nan")),
        message=r"'area' of annotation 3 is NaN: expected a number",
        reason="bad-annotation",
        kept=2,
    ),
    "iscrowd 3": Bad(
        row=replaced(iscrowd=3),
        message=r"'iscrowd' of annotation 3 is 3: expected 0 to 1",
        reason="bad-annotation",
        kept=2,
    ),
    "segments_info is a dict": record_bad(
        r"'objects' of image 'images/a\.png' is a dict: expected a list",
        "bad-annotation",
        row={"segments_info": {"3": 1}},
    ),
    "segments_info is null": record_bad(
        r"'objects' of image 'images/a\.png' is a NoneType: expected a list",
        "bad-annotation",
        row={"segments_info": None},
    ),
    "PNG without name": record_bad(
        r"'mask_image' of image .* expected \{'path': str",
        "bad-annotation",
        row={"file_name": ABSENT},
    ),
    "PNG name is a number": record_bad(
        r"'mask_image' of image .* expected \{'path': str",
        "bad-annotation",
        row={"file_name": 5},
    ),
    "PNG missing": record_bad(
        r"mask image '.*/none\.png' is missing: expected a file at",
        "mask-image-missing",
        row={"file_name": "none.png"},
    ),
    "PNG with ..": record_bad(
        rf"path '\.\./\.\./secret\.png' {UNSAFE}",
        "unsafe-path",
        row={"file_name": "../../secret.png"},
    ),
    "PNG absolute": record_bad(
        rf"path '/etc/passwd' {UNSAFE}", "unsafe-path", row={"file_name": "/etc/passwd"}
    ),
    "PNG with a drive": record_bad(
        rf"path 'C:\\\\\\\\x\.png' {UNSAFE}|path .*x\.png' {UNSAFE}",
        "unsafe-path",
        row={"file_name": "C:\\x.png"},
    ),
    "PNG empty": record_bad(
        r"mask image .* is empty: expected an image", "mask-image-undecodable", png=b""
    ),
    "PNG that is text": record_bad(
        r"a\.png' cannot be decoded", "label-image-undecodable", png=b"<html>"
    ),
    "PNG truncated": record_bad(
        r"a\.png' cannot be decoded",
        "label-image-undecodable",
        png=png_bytes("RGB")[:-20],
    ),
    "PNG that is a JPEG": record_bad(
        r"a\.png' is stored with loss|lossy|JPEG", "label-image-lossy", png=jpeg_bytes()
    ),
    "PNG of another size": record_bad(
        r"mask image .* does not fit its image .*: expected 12x16, got 16x12",
        "mask-size-mismatch",
        png=png_bytes("RGB", (HEIGHT, WIDTH)),
    ),
    "PNG bomb": record_bad(
        r"claims far too many pixels: at most 134217728",
        "label-image-too-large",
        png=bomb(),
    ),
}


def bad_case(root: Path, bad: Bad) -> Path:
    row = without_absent({**panoptic_row(), **bad.row})
    write_panoptic(root, table(row, panoptic_row(2)))
    if bad.png is not None:
        (root / PNG_FOLDER / "a.png").write_bytes(bad.png)
    return root


@pytest.mark.parametrize("case", BAD)
def test_bad_panoptic_annotation_ends_a_strict_build(root: Path, case: str) -> None:
    bad = BAD[case]
    with pytest.raises(SegdataError, match=bad.message) as caught:
        build(bad_case(root, bad))
    assert caught.value.reason == bad.reason
    assert (
        "a.png" in str(caught.value)
        or "none.png" in str(caught.value)
        or (bad.reason == "unsafe-path")
    )
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("case", BAD)
def test_bad_panoptic_annotation_is_left_out_of_a_lenient_build(
    root: Path, case: str
) -> None:
    bad = BAD[case]
    manifest = build(bad_case(root, bad), "skip")
    found = rejects(root)
    assert {(r["stage"], r["reason"]) for r in found} == {(bad.stage, bad.reason)} or (
        case in ("unknown category", "no category")
    )
    assert re.search(bad.message, found[0]["message"])
    split = manifest.splits["train"]
    good = records(root)
    assert len(good["images/b"].objects) == 3
    if bad.stage == "encode":
        assert list(good) == ["images/b"]
        assert split.rejects == {bad.reason: 1}
    else:
        assert split.rejected_objects[bad.reason] == len(found)
        assert len(good["images/a"].objects) == bad.kept
        assert good["images/a"].notes == ("objects-rejected",)


BAD_FILES: dict[str, tuple[dict[str, Any], str, str]] = {
    "two annotations of an image": (
        table(panoptic_row(), panoptic_row()),
        r"panoptic_train2017\.json: image 1 has 2 panoptic annotations: expected one",
        "duplicate-annotation",
    ),
    "category id twice": (
        table(categories=[CATEGORIES[0], CATEGORIES[0]]),
        r"two categories have the id 1: ids must differ",
        "bad-category",
    ),
    "isthing is text": (
        table(categories=[{**CATEGORIES[0], "isthing": "yes"}, CATEGORIES[1]]),
        r"'isthing' of category 1 is 'yes': expected 0 or 1",
        "bad-category",
    ),
    "no categories": (
        table(categories=ABSENT),
        r"expected the key 'categories' with a list",
        "bad-source",
    ),
}


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_panoptic_file_ends_the_build(root: Path, case: str, on_error: str) -> None:
    data, message, reason = BAD_FILES[case]
    write(root, data, name=JSON_NAME)
    with pytest.raises(SegdataError, match=message) as caught:
        build(root, on_error)
    assert caught.value.reason == reason


def test_annotation_of_an_unknown_image_is_refused(root: Path) -> None:
    write(root, table(panoptic_row(), panoptic_row(2), panoptic_row(9)), name=JSON_NAME)
    with pytest.raises(AnnotationError, match=r"is of the unknown ima"):
        build(root)
    assert build(root, "skip").scan_rejects == {"unknown-image": 1}


def test_link_of_a_png_that_leads_out_is_refused(root: Path, tmp_path: Path) -> None:
    save_ids(tmp_path / "secret.png", id_map())
    (root / PNG_FOLDER / "a.png").unlink()
    (root / PNG_FOLDER / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(AnnotationError, match=r"a\.png' is a link that leads out of"):
        build(root)
    assert build(root, "skip").splits["train"].rejects == {"unsafe-path": 1}


def test_changed_png_is_built_anew(root: Path) -> None:
    scans = [make_plan(Coco().scan(root), root, "coco", BuildOptions())]
    save_ids(root / PNG_FOLDER / "a.png", with_ids(0, STUFF))
    scans.append(make_plan(Coco().scan(root), root, "coco", BuildOptions()))
    before, after = ({s.name: s.state_sha256 for s in plan.shards} for plan in scans)
    assert before != after
