"""Writes a synthetic dataset in the layout of the Oxford-IIIT Pets, with oddities."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from segdata.samples.pet_scene import BACKGROUND, PetScene, draw_pet_scene
from segdata.samples.pet_shapes import BREEDS, Breed

_QUALITY = 90


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
    rng: np.random.Generator,
    breed: Breed,
    kind: _Kind,
    *,
    has_xml: bool,
) -> None:
    scene = draw_pet_scene(rng, breed, num_pets=2 if kind is _Kind.TWO else 1)
    _write_image(directory / "images" / f"{name}.jpg", scene, kind)
    trimap = scene.trimap
    if kind is _Kind.EMPTY:
        trimap = np.full_like(trimap, BACKGROUND)
    path = directory / "annotations/trimaps" / f"{name}.png"
    Image.fromarray(trimap).save(path, format="PNG")
    if has_xml and kind is not _Kind.NO_XML:
        path = directory / "annotations/xmls" / f"{name}.xml"
        path.write_bytes(_xml(name, scene, breed).encode())


def _write_image(path: Path, scene: PetScene, kind: _Kind) -> None:
    image = Image.fromarray(scene.image)
    if kind is _Kind.GIF:
        image.quantize(64, dither=Image.Dither.NONE).save(path, format="GIF")
    elif kind is _Kind.PNG:
        image.save(path, format="PNG")
    elif kind is _Kind.RGBA:
        image.putalpha(230)
        image.save(path, format="PNG")
    elif kind is _Kind.EXIF:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 0
        image.save(path, format="JPEG", quality=_QUALITY, exif=exif)
    else:
        image.save(path, format="JPEG", quality=_QUALITY)


def _xml(name: str, scene: PetScene, breed: Breed) -> str:
    height, width = scene.trimap.shape
    species = "cat" if breed.species == 1 else "dog"
    objects = "".join(
        f"<object><name>{species}</name><pose>Frontal</pose><truncated>0</truncated>"
        f"<occluded>0</occluded><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox><difficult>0</difficult>"
        "</object>"
        for xmin, ymin, xmax, ymax in scene.heads
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
