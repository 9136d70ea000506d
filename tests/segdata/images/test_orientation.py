"""EXIF turns images and masks alike, in every format that holds it."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageOps

from segdata.errors import AnnotationError, ImageError
from segdata.images.decode import decode_rgb
from segdata.images.header import look_at_start, read_header
from segdata.images.label_images import read_source_runs
from segdata.images.normalize import normalize_image
from segdata.label_map import LabelMap
from segdata.records.encode import encode_record

HEIGHT, WIDTH = 6, 10
STORED = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
LABELS = LabelMap.from_dict({f"c{i}": i for i in range(HEIGHT * WIDTH)})


def file_of(pixels: np.ndarray, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def upright(orientation: int) -> np.ndarray:
    data = file_of(STORED, "PNG", orientation)
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("exif", ["auto", "apply", "ignore"])
def test_image_and_mask_of_one_orientation_are_turned_alike(
    kind: str, orientation: int, exif: Literal["auto", "apply", "ignore"]
) -> None:
    data = file_of(np.dstack([STORED] * 3), kind, orientation)
    header = read_header(data, "a")
    assert (header.height, header.width) == (HEIGHT, WIDTH)
    assert header.orientation == orientation
    expected = STORED if exif == "ignore" else upright(orientation)
    image = normalize_image(data, "a.png", exif=exif)
    assert np.array_equal(decode_rgb(image.encoded, "a")[..., 0], expected)
    assert ("exif-rotated" in image.changes) == (orientation > 1 and exif != "ignore")
    mask = read_source_runs(file_of(STORED, kind, orientation), "index", "m", exif=exif)
    assert (mask.height, mask.width) == expected.shape
    assert np.array_equal(np.repeat(mask.codes, mask.lengths), expected.ravel())


def record(image: bytes, mask: bytes, exif: Any = "auto") -> Any:
    annotation = {
        "image": "a.jpg",
        "label_image": {"path": "m.png", "encoding": "index"},
    }
    files = {"a.jpg": image, "m.png": mask}
    return encode_record(annotation, files, LABELS, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_and_mask_with_the_same_orientation_stay_together(
    orientation: int,
) -> None:
    image = file_of(STORED, "JPEG", orientation)
    found = record(image, file_of(STORED, "PNG", orientation))
    expected = upright(orientation)
    runs = found.label_runs
    assert np.array_equal(np.repeat(runs.values, runs.lengths), expected.ravel())
    assert (found.image.height, found.image.width) == expected.shape


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_size_that_contradicts_what_holds_for_the_dataset_is_refused(
    orientation: int,
) -> None:
    image = file_of(STORED, "JPEG", orientation)
    as_stored, as_shown = file_of(STORED, "PNG", 1), file_of(STORED.T, "PNG", 1)
    record(image, as_stored, "ignore")
    record(image, as_shown, "apply")
    for mask, exif, fits in (
        (as_stored, "apply", "stored"),
        (as_shown, "ignore", "upright"),
    ):
        with pytest.raises(
            ImageError,
            match=f"image 'a.jpg' has EXIF orientation {orientation}, and its "
            f"annotations fit its {fits} pixels: .* --exif {exif}",
        ) as caught:
            record(image, mask, exif)
        assert caught.value.reason == "exif-contradicts"
    for mask in (as_stored, as_shown):
        record(image, mask, "auto")
    with pytest.raises(AnnotationError, match="does not fit its image"):
        record(image, file_of(STORED[:4], "PNG", 1), "apply")


@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_turns_that_keep_the_size_follow_the_dataset(exif: Any) -> None:
    found = record(file_of(STORED, "JPEG", 3), file_of(STORED, "PNG", 1), exif)
    assert (
        found.notes[0]
        == {
            "apply": "exif-rotated",
            "ignore": "exif-rotation-ignored",
        }[exif]
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_start_of_a_file_tells_size_and_orientation(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    data = file_of(noise, kind, 6)
    assert look_at_start(data[:2000]) == (200, 300, 6)
    assert look_at_start(data[:20]) is None
    assert look_at_start(file_of(noise, kind, 1)[:2000]) == (200, 300, 1)


def test_start_of_other_files_tells_nothing() -> None:
    assert look_at_start(b"") is None
    assert look_at_start(b"text " * 99) is None
    assert look_at_start(file_of(STORED, "TIFF", 6)) is None
