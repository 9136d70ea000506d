"""Writes a synthetic dataset in the layout of the Oxford-IIIT Pets, with oddities."""

from __future__ import annotations

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


_KINDS = ("plain", "GIF", "no XML", "RGBA", "EXIF", "two pets", "no mask", "PNG")
"""What the images of a split are in turn, so that eight have every oddity. All files
are named .jpg, also GIFs and PNGs; EXIF orientation 0 does not exist; a trimap without
a pet is all background."""
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

    Any eight images of a split in a row have
    every oddity of an image. Only the images of trainval have XMLs, as in the real
    dataset. Beside them lie an image that no list names, a `.mat` file and `._` files.
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
            listed.append(" ".join(map(str, (name, *breed[1:4]))) + "\n")
        path = directory / f"annotations/{split}.txt"
        path.write_bytes("".join(listed).encode())
        lines += listed
    table = _HEADER + "".join(sorted(lines))
    (directory / "annotations/list.txt").write_bytes(table.encode())
    _write_strays(directory, seed)


def _write_record(
    directory: Path, name: str, rng: Rng, breed: Breed, kind: str, *, has_xml: bool
) -> None:
    picture, trimap, heads = _draw(rng, breed, 2 if kind == "two pets" else 1)
    _write_image(directory / "images" / f"{name}.jpg", Image.fromarray(picture), kind)
    if kind == "no mask":
        trimap[:] = _BACKGROUND
    folder = directory / "annotations"
    save_png(Image.fromarray(trimap), folder / "trimaps" / f"{name}.png")
    if has_xml and kind != "no XML":
        text = _xml(name, trimap.shape, heads, breed)
        (folder / "xmls" / f"{name}.xml").write_bytes(text.encode())


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
    labels = Image.fromarray(canvas.labels())  # the pet's is less than the background's
    inner = np.asarray(labels.filter(ImageFilter.MaxFilter(_BAND)))
    outer = np.asarray(labels.filter(ImageFilter.MinFilter(_BAND)))
    return canvas.picture(), np.where(inner == outer, inner, np.uint8(_OUTLINE)), heads


def _write_image(path: Path, image: Image.Image, kind: str) -> None:
    if kind == "GIF":
        image.quantize(64, dither=Image.Dither.NONE).save(path, format="GIF")
    elif kind in ("PNG", "RGBA"):
        save_png(image.convert(kind.replace("PNG", "RGB")), path)
    else:
        exif = Image.Exif()
        if kind == "EXIF":
            exif[ExifTags.Base.Orientation] = 0
        save_jpeg(image, path, exif)


def _xml(name: str, size: tuple[int, ...], heads: list[Head], breed: Breed) -> str:
    species = "cat" if breed.species == 1 else "dog"
    objects = "".join(
        f"<object><name>{species}</name><pose>Frontal</pose><truncated>0</truncated>"
        f"<occluded>0</occluded><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox><difficult>0</difficult>"
        "</object>"
        for xmin, ymin, xmax, ymax in heads
    )
    return (
        f"<annotation><folder>segdata</folder><filename>{name}.jpg</filename><size>"
        f"<width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
        f"<segmented>0</segmented>{objects}</annotation>\n"
    )


def _write_strays(directory: Path, seed: int) -> None:
    """What the real archives also hold."""
    breed = BREEDS[0]
    name = f"{breed.name}_{_FIRST_UNLISTED}"
    rng = np.random.default_rng([seed, 2])
    _write_record(directory, name, rng, breed, "GIF", has_xml=False)
    (directory / "images" / f"{name}.mat").write_bytes(_MATLAB_FILE)
    for folder, suffix in (("images", "jpg"), ("annotations/trimaps", "png")):
        (directory / folder / f"._{name}.{suffix}").write_bytes(_MAC_FILE)
