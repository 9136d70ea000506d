"""Writes a synthetic dataset in the layout of the Oxford-IIIT Pets, with oddities."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFilter

from segdata.samples.canvas import (
    BLACK,
    WHITE,
    Canvas,
    Rng,
    box,
    ellipse,
    mix,
    palette,
    pick,
    save_jpeg,
    save_png,
)
from segdata.samples.pet import BREEDS, Breed, draw_pet

Head = tuple[int, int, int, int]
"""`xmin, ymin, xmax, ymax` as VOC counts: from 1, both ends inside."""

_PET, _BACKGROUND, _OUTLINE = 1, 2, 3  # of trimaps
_BAND = 5  # pixels across which the outline runs; odd
_WALLS = palette("96b2b0 cebca0 a8a6c0 b8c8a0")
_FLOORS = palette("8e7460 788470 9e948c")


class _Kind(Enum):
    """What is odd about an image."""

    PLAIN = "nothing"
    GIF = "a GIF named .jpg"
    NO_XML = "no XML"
    RGBA = "a PNG named .jpg, with an alpha channel"
    EXIF = "EXIF orientation 0, which does not exist"
    TWO = "two pets, so its XML has two objects"
    EMPTY = "a trimap that is all background"
    PNG = "a PNG named .jpg"


_KINDS = tuple(_Kind)
"""What the images of a split are in turn, so that eight have every oddity."""
_FIRST_UNLISTED = 990_001
_HEADER = (
    "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n#SPECIES: 1:Cat 2:Dog\n"
)
_MAC_FILE = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        "
_MATLAB_FILE = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"


def write_pets_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws pets and writes them as a dataset.

    Image `k` of a split depends on the seed, the split and `k` alone: a larger sample
    starts with the images of a smaller one. Any eight images of a split in a row have
    every oddity of an image. Only the images of trainval have XMLs, as in the real
    dataset. Beside them lie an image that no list names, a `.mat` file and `._` files.

    Args:
      directory: Folder to write to; it is created if it does not exist.
      seed: At least 0; the same seed gives the same bytes.
      num_train: Number of images in trainval.
      num_val: Number of images in test.
    """
    for folder in ("images", "annotations/trimaps", "annotations/xmls"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for split_number, (split, count) in enumerate(
        (("trainval", num_train), ("test", num_val))
    ):
        listed = []
        for index in range(count):
            breed = BREEDS[index % len(BREEDS)]
            name = f"{breed.name}_{2 * index + split_number + 1}"
            rng = np.random.default_rng([seed, split_number, index])
            kind = _KINDS[index % len(_KINDS)]
            _write_record(directory, name, rng, breed, kind, has_xml=not split_number)
            ids = f"{breed.class_id} {breed.species} {breed.breed_id}"
            listed.append(f"{name} {ids}\n")
        _write_list(directory, split, listed)
        lines += listed
    _write_list(directory, "list", [_HEADER, *sorted(lines)])
    _write_strays(directory, seed)


def _write_record(
    directory: Path,
    name: str,
    rng: Rng,
    breed: Breed,
    kind: _Kind,
    *,
    has_xml: bool,
) -> None:
    picture, trimap, heads = _draw(rng, breed, 2 if kind is _Kind.TWO else 1)
    _write_image(directory / "images" / f"{name}.jpg", Image.fromarray(picture), kind)
    if kind is _Kind.EMPTY:
        trimap[:] = _BACKGROUND
    path = directory / "annotations/trimaps" / f"{name}.png"
    save_png(Image.fromarray(trimap), path)
    if has_xml and kind is not _Kind.NO_XML:
        path = directory / "annotations/xmls" / f"{name}.xml"
        path.write_bytes(_xml(name, trimap.shape, heads, breed).encode())


def _draw(
    rng: Rng, breed: Breed, num_pets: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[Head]]:
    """Draws pets in a room; returns image, trimap and boxes of the heads."""
    height, width = rng.integers(180, 341, 2).tolist()
    if num_pets == 2:
        width = max(width, height * 3 // 2)
    wall, floor = pick(rng, _WALLS), pick(rng, _FLOORS)
    canvas = Canvas(height, width, mix(wall, WHITE, 0.3), wall, _BACKGROUND)
    edge = float(rng.uniform(0.55, 0.75)) * height
    canvas.fill(box(0, edge, width, height), floor)
    canvas.fill(box(0, edge - 5, width, edge), mix(wall, WHITE, 0.6))
    heads, room = [], width / num_pets
    for number in range(num_pets):
        scale = float(rng.uniform(0.3, 0.37)) * min(height * 1.15, room)
        x = (number + float(rng.uniform(0.46, 0.54))) * room
        y = height * float(rng.uniform(0.54, 0.62))
        rug = ellipse(x, y + 0.6 * scale, 0.95 * scale, 0.12 * scale)
        canvas.fill(rug, mix(floor, BLACK, 0.25))
        points = np.array(draw_pet(canvas, rng, breed, (x, y), scale, _PET))
        low = np.maximum(np.floor(points.min(0)), 0).astype(int) + 1
        high = np.minimum(np.ceil(points.max(0)), (width, height)).astype(int)
        heads.append((*low.tolist(), *high.tolist()))
    return canvas.picture(), _make_trimap(canvas.labels()), heads


def _make_trimap(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Makes the border between pet and background a band of its own."""
    drawn = Image.fromarray(labels)  # the pet is less than the background
    inner = np.asarray(drawn.filter(ImageFilter.MaxFilter(_BAND)))
    outer = np.asarray(drawn.filter(ImageFilter.MinFilter(_BAND)))
    return np.where(inner == outer, labels, np.uint8(_OUTLINE))


def _write_image(path: Path, image: Image.Image, kind: _Kind) -> None:
    if kind is _Kind.GIF:
        image.quantize(64, dither=Image.Dither.NONE).save(path, format="GIF")
    elif kind is _Kind.PNG:
        save_png(image, path)
    elif kind is _Kind.RGBA:
        image.putalpha(230)
        save_png(image, path)
    elif kind is _Kind.EXIF:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 0
        save_jpeg(image, path, exif)
    else:
        save_jpeg(image, path)


def _xml(name: str, size: tuple[int, ...], heads: list[Head], breed: Breed) -> str:
    height, width = size
    species = "cat" if breed.species == 1 else "dog"
    objects = "".join(
        f"<object><name>{species}</name><pose>Frontal</pose><truncated>0</truncated>"
        f"<occluded>0</occluded><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox><difficult>0</difficult>"
        "</object>"
        for xmin, ymin, xmax, ymax in heads
    )
    return (
        f"<annotation><folder>segdata</folder><filename>{name}.jpg</filename>"
        "<source><database>Pets, drawn by segdata</database></source>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        f"<segmented>0</segmented>{objects}</annotation>\n"
    )


def _write_list(directory: Path, name: str, lines: Iterable[str]) -> None:
    (directory / "annotations" / f"{name}.txt").write_bytes("".join(lines).encode())


def _write_strays(directory: Path, seed: int) -> None:
    """What the real archives also hold."""
    breed = BREEDS[0]
    name = f"{breed.name}_{_FIRST_UNLISTED}"
    rng = np.random.default_rng([seed, 2])
    _write_record(directory, name, rng, breed, _Kind.GIF, has_xml=False)
    (directory / "images" / f"{name}.mat").write_bytes(_MATLAB_FILE)
    for folder, suffix in (("images", "jpg"), ("annotations/trimaps", "png")):
        (directory / folder / f"._{name}.{suffix}").write_bytes(_MAC_FILE)
