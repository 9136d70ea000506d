"""What a sample of sizes tells holds for the whole dataset, and is kept."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segdata
from segdata.errors import ImageError, OutputError
from segdata.shards.manifest import Manifest

HEIGHT, WIDTH = 6, 10


def save(path: Path, pixels: np.ndarray, orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif)


class Source:
    """A mask folder; each mask has one pixel of class 1, top left as stored."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "classes.txt").write_text("bg\nobj\n")
        self.add("plain", 1, "stored")

    def add(self, name: str, orientation: int, fits: str, size: int = WIDTH) -> None:
        image = np.zeros((HEIGHT, size, 3), np.uint8)
        image[0, 0] = 255
        is_turned = fits == "upright" and orientation >= 5
        mask = np.zeros((size, HEIGHT) if is_turned else (HEIGHT, size), np.uint8)
        mask[0, 0] = 1
        save(self.root / f"images/{name}.png", image, orientation)
        save(self.root / f"masks/{name}.png", mask)

    def build(self, **options: object) -> Manifest:
        out = self.root.parent / "out"
        return segdata.build("mask-folder", self.root, out, **options)  # type: ignore[arg-type]

    def corners(self) -> dict[str, bool]:
        """Name -> whether its image is as stored."""
        out = segdata.open(self.root.parent / "out")
        return {r.key[7:]: bool(r.image()[0, 0].any()) for r in out}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


def test_stored_sizes_tell_for_images_whose_sizes_cannot(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.add("told", 6, "stored")
    source.add("half-turn", 3, "stored")
    source.add("square", 6, "stored", size=HEIGHT)
    manifest = source.build()
    assert manifest.options["exif"] == "ignore"
    assert "no image is turned (--exif ignore)" in manifest.warnings[-1]
    assert manifest.warnings[-1] in caplog.text
    assert all(source.corners().values())
    notes = next(iter(manifest.splits.values())).counts.notes
    assert notes["exif-rotation-ignored"] == 3


def test_upright_sizes_tell_too(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source.add("told", 6, "upright")
    source.add("half-turn", 3, "upright")
    assert source.build().options["exif"] == "apply"
    assert "all images are turned (--exif apply)" in caplog.text
    assert source.corners()["half-turn"] is False


def test_sizes_of_both_kinds_leave_each_image_to_its_own(source: Source) -> None:
    source.add("one", 6, "upright")
    source.add("other", 6, "stored")
    manifest = source.build()
    assert manifest.options["exif"] == "auto"
    assert "of 1 have the size of turned pixels, of 1 of stored" in manifest.warnings[0]
    assert source.corners().keys() == {"plain", "one", "other"}


def test_nothing_is_said_where_nothing_tells(source: Source) -> None:
    source.add("half-turn", 3, "upright")
    manifest = source.build()
    assert (manifest.options["exif"], manifest.warnings) == ("auto", ())
    assert source.corners() == {"plain": True, "half-turn": False}


def test_stated_option_holds_and_is_not_sampled(source: Source) -> None:
    source.add("half-turn", 3, "upright")
    assert source.build(exif="ignore").options["exif"] == "ignore"
    assert source.corners() == {"plain": True, "half-turn": True}


def test_record_that_contradicts_the_stated_option_is_named(source: Source) -> None:
    source.add("told", 6, "stored")
    with pytest.raises(ImageError, match=r"'images/told.png' .* --exif apply"):
        source.build(exif="apply")
    manifest = source.build(exif="apply", on_error="skip", max_reject_share=1)
    split = next(iter(manifest.splits.values()))
    assert split.rejects == {"exif-contradicts": 1}


def test_update_and_repeated_build_keep_what_was_decided(source: Source) -> None:
    source.add("told", 6, "stored")
    source.add("half-turn", 3, "stored")
    source.build()
    assert source.build().options["exif"] == "ignore"
    (source.root / "images/told.png").unlink()
    (source.root / "masks/told.png").unlink()
    assert source.build(update=True).options["exif"] == "ignore"
    assert source.corners() == {"plain": True, "half-turn": True}
    with pytest.raises(OutputError, match="--exif ignore -> apply"):
        source.build(update=True, exif="apply")
