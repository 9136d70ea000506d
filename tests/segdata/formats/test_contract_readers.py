"""Every reader agrees: each odd file has one verdict, and one set of pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from odd_images import (
    DAMAGED,
    NUM_CLASSES,
    SIDE,
    encode,
    labels,
    odd_images,
    odd_masks,
    photo,
)
from PIL import Image, ImageOps

import segdata
from segdata.cli import cli
from segdata.errors import ImageError
from segdata.images.decode import decode_rgb
from segdata.records.record import Record
from segdata.shards.manifest import Manifest
from segdata.streams.tensorflow import tf

IMAGES, MASKS = list(odd_images()), list(odd_masks())
VERDICTS = {odd.name.rpartition(".")[0]: odd.verdict for odd in (*IMAGES, *MASKS)}
Build = Callable[[str], tuple[Path, Manifest]]


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd images beside a plain mask, odd masks beside a plain image."""
    root = tmp_path_factory.mktemp("odd") / "source"
    mask, image = encode(Image.fromarray(labels()), "PNG"), encode(photo(), "PNG")
    for odd in IMAGES:
        write(root / "images" / odd.name, odd.data)
        write(root / "masks" / Path(odd.name).with_suffix(".png"), mask)
    for odd in MASKS:
        write(root / "images" / Path(odd.name).with_suffix(".png"), image)
        write(root / "masks" / odd.name, odd.data)
    classes = "".join(f"{i} class{i}\n" for i in range(NUM_CLASSES))
    (root / "classes.txt").write_text(classes)
    return root


@pytest.fixture(scope="module")
def builds(source: Path) -> Build:
    made: dict[str, tuple[Path, Manifest]] = {}

    def build(check: str) -> tuple[Path, Manifest]:
        if check not in made:
            out = source.parent / check
            manifest = segdata.build(
                *("mask-folder", source, out),
                format_options={"labels": "index"},
                on_error="skip",
                max_reject_share=1,
                check=check,  # type: ignore[arg-type]
            )
            made[check] = (out, manifest)
        return made[check]

    return build


def name_of(key: str) -> str:
    return key.removeprefix("images/")


def rejects_of(out: Path) -> dict[str, str]:
    """Name -> reason."""
    lines = (out / "rejects.jsonl").read_bytes().splitlines()
    return {name_of(r["key"]): r["reason"] for r in map(orjson.loads, lines)}


def records_of(out: Path) -> dict[str, Record]:
    return {name_of(record.key): record for record in segdata.open(out)}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exception is None, result.output
    return result.output


def test_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(IMAGES) + len(MASKS) == len(VERDICTS) >= 150


def test_each_file_has_the_verdict_that_is_written(builds: Build) -> None:
    out, _ = builds("pixels")
    found = dict.fromkeys(records_of(out), "") | rejects_of(out)
    assert found.keys() == VERDICTS.keys()
    wrong = {
        name: (verdict, found[name])
        for name, verdict in VERDICTS.items()
        if found[name] != verdict
        and not (verdict == DAMAGED and found[name] in ("", "image-undecodable"))
    }
    assert not wrong
    maybe = [found[name] for name, verdict in VERDICTS.items() if verdict == DAMAGED]
    assert 0 < len([v for v in maybe if v]) < len(maybe)


def test_arrays_streams_stats_show_and_export_have_the_same_pixels(
    builds: Build, tmp_path: Path
) -> None:
    out, manifest = builds("pixels")
    records = records_of(out)
    [split] = manifest.splits
    assert "verified" in run("verify", out)
    batches = segdata.read_semantic(out, split, batch_size=1)
    for record, batch in zip(records.values(), batches, strict=True):
        far = np.abs(batch["image"][0].numpy().astype(int) - record.image()).max()
        # Streams decode JPEGs by a faster transform, which rounds otherwise.
        assert far <= (8 if record.format == "jpeg" else 0), record.key
        assert np.array_equal(batch["label_map"][0], record.label_map()), record.key
    run("stats", out, "--pixels", "all")
    counted = orjson.loads((out / "stats.json").read_bytes())["splits"][split]
    pixels = np.concatenate([r.image().reshape(-1, 3) for r in records.values()])
    assert counted["channels"]["images"] == len(records)
    assert np.allclose(counted["channels"]["mean"], pixels.mean(0))
    every = [part for i in range(len(records)) for part in ("--index", i)]
    run("show", out, *every, "--output", tmp_path / "sheet.jpg")
    run("export", out, tmp_path / "exported", "--to", "png")
    paths = [p for p in (tmp_path / "exported").rglob("*.*") if "images" in p.parts]
    exported = {path.stem: path for path in paths}
    assert len(exported) == len(paths) == len(records)
    for name, record in records.items():
        path = exported[name]
        assert np.array_equal(decode_rgb(path.read_bytes(), name), record.image())


def test_masks_hold_the_labels_that_were_drawn(builds: Build) -> None:
    records = records_of(builds("pixels")[0])
    for odd in MASKS:
        name = odd.name.rpartition(".")[0]
        if odd.verdict:
            continue
        expected = labels()
        if "-exif-" in name:
            tags = Image.Exif()
            tags[274] = int(name.split("-")[2])
            upright = Image.fromarray(expected)
            upright.info["exif"] = tags.tobytes()
            expected = np.asarray(ImageOps.exif_transpose(upright))
        assert np.array_equal(records[name].label_map(), expected), name


def test_verify_names_what_the_build_would_refuse_and_nothing_else(
    builds: Build,
) -> None:
    """Without the check damaged images are built: their bytes are kept."""
    strict, plain = builds("pixels")[0], builds("structure")[0]
    refused = rejects_of(strict).keys() - rejects_of(plain).keys()
    found = segdata.verify(plain).problems
    named = {name_of(problem.message.split("'")[1]) for problem in found}
    assert len(found) == len(named) > 8
    assert named == refused
    assert rejects_of(plain).keys() < rejects_of(strict).keys()


def test_numpy_and_tensorflow_decode_the_same_files_to_the_same_pixels(
    builds: Build,
) -> None:
    """Damaged ones too, as far as they can be read at all."""
    for name, record in records_of(builds("structure")[0]).items():
        try:
            pixels = record.image()
        except ImageError:
            pixels = None
        try:
            decoded = tensorflow_pixels(record)
        except tf.errors.InvalidArgumentError:
            decoded = None
        if name == "png-no-adler":  # all rows are there, and only their checksum not
            assert decoded is None
            continue
        assert (pixels is None) == (decoded is None), name
        if pixels is not None:
            assert pixels.shape == (SIDE, SIDE, 3)
            assert np.array_equal(pixels, decoded), name


def tensorflow_pixels(record: Record) -> np.ndarray:
    if record.format == "jpeg":
        return np.asarray(
            tf.io.decode_jpeg(record.encoded, 3, dct_method="INTEGER_ACCURATE")
        )
    return np.asarray(tf.io.decode_png(record.encoded, 3))
