"""What every format does with broken files: each sort has its written outcome.

The outcomes stand in `docs/formats.md`; what a test here sees must stand there too.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from segdata.annotations import record_key
from segdata.commands.sample import SAMPLES
from segdata.errors import RecordError, SegdataError
from segdata.formats import FORMATS, format_class
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

ROOT = Path(__file__).resolve().parents[3]
TABLE = (ROOT / "docs/formats.md").read_text("utf-8")
Build = Callable[..., Manifest]


def write_bomb(path: Path) -> None:
    """A PNG whose header claims 10^10 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"")),
        chunk(b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def crop(path: Path) -> None:
    """The same file, one row less; losslessly, whatever it was."""
    with Image.open(path) as image:
        image.load()
        image.crop((0, 0, image.width, image.height - 1)).save(path, "PNG")


def link_out(path: Path) -> None:
    source = next(folder for folder in path.parents if folder.name == "source")
    outside = source.parent / f"outside{path.suffix}"
    path.rename(outside)
    path.symlink_to(outside)


def flip_bit(path: Path) -> None:
    """Behind the header: where PNGs have a checksum."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def to_jpeg(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("RGB").save(path, "JPEG")


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "{sort}-missing"),
    "empty": (lambda path: path.write_bytes(b""), "{sort}-undecodable"),
    "no image": (lambda path: path.write_bytes(b"no image"), "{sort}-undecodable"),
    "cut off": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "{sort}-undecodable",
    ),
    "bomb": (write_bomb, "{sort}-too-large"),
    "another size": (crop, "(image|label|mask)-size-mismatch"),
    "link that leads out": (link_out, "unsafe-path"),
}
ONLY_LABELS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "flipped bit": (flip_bit, "{sort}-undecodable"),
    "through a lossy format": (to_jpeg, "{sort}-lossy"),
}
SIZELESS = {"yolo"}
SEEMS_WHOLE = {("yolo", "cut off", ".txt")}
"""Nobody can tell: what is left of such a file may be a whole one."""
SORTS = ("image", "label_image", "mask_image")


@pytest.fixture(scope="module", params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def drawn(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    module, _, function = SAMPLES[name].partition(":")
    folder = tmp_path_factory.mktemp(name) / "drawn"
    write = getattr(importlib.import_module(module), function)
    write(folder, seed=3, num_train=3, num_val=2)
    for path in folder.glob("annotations/xmls/*.xml"):
        path.unlink()  # the scan would compare its size with the damaged trimap's
    return folder


@pytest.fixture(scope="module")
def whole(name: str, drawn: Path, build_plainly: Build) -> dict[str, str]:
    """Key -> hash of the image, of an undamaged build."""
    out = drawn.parent / "whole"
    return records_of(
        build_plainly(drawn, out, dataset_format=format_class(name)()), out
    )


def records_of(manifest: Manifest, out: Path) -> dict[str, str]:
    return {
        record.key: record.sha256
        for split in manifest.splits
        for record in RecordSource(out, split)
    }


def assert_is_one_clear_line(error: BaseException) -> None:
    assert isinstance(error, SegdataError)
    assert "\n" not in str(error)
    assert 20 < len(str(error)) < 600
    assert error.reason != "error"


def files_of_a_record(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """The key of one record, and sort of file -> path below the folder."""
    annotations = format_class(name)().scan(folder).annotations
    annotation: Any = min(annotations, key=record_key)
    paths: dict[str, str] = {"image": annotation["image"]}
    for sort in SORTS[1:]:
        if sort in annotation and annotation[sort]["path"] not in paths.values():
            paths[sort] = annotation[sort]["path"]
    return record_key(annotation), paths


@pytest.mark.parametrize("damage", [*DAMAGE, *ONLY_LABELS])
def test_broken_file_costs_its_record_only(
    name: str,
    drawn: Path,
    whole: dict[str, str],
    damage: str,
    tmp_path: Path,
    build_plainly: Build,
) -> None:
    if damage == "another size" and name in SIZELESS:
        pytest.skip("its files do not say for which size they were drawn")
    key, paths = files_of_a_record(drawn, name)
    for sort, path in paths.items():
        if damage in ONLY_LABELS and sort == "image":
            continue
        source, out = tmp_path / sort / "a" / "source", tmp_path / sort / "out"
        shutil.copytree(drawn, source)
        change, expected = (DAMAGE | ONLY_LABELS)[damage]
        change(source / path)
        called = sort.replace("_", "-")
        if sort == "mask_image" and damage != "missing":  # decoded as labels are
            called = "(label|mask)-image"
        reason = expected.format(sort=called)
        dataset_format = format_class(name)()
        either = "|".join(map(re.escape, {path, *paths.values()}))
        with pytest.raises(RecordError, match=either) as caught:
            build_plainly(source, out, dataset_format=dataset_format)
        assert_is_one_clear_line(caught.value)
        assert re.fullmatch(reason, caught.value.reason)
        assert f"`{caught.value.reason}`" in TABLE
        manifest = build_plainly(
            source,
            out,
            dataset_format=dataset_format,
            on_error="skip",
            max_reject_share=1,
            overwrite=True,
        )
        rejects = Counter[str]()
        for split in manifest.splits.values():
            rejects.update(split.rejects)
        assert rejects == {caught.value.reason: 1}
        assert f'"key":"{key}"' in (out / "rejects.jsonl").read_text()
        others = {k: digest for k, digest in whole.items() if k != key}
        assert records_of(manifest, out) == others


def other_files(folder: Path, name: str) -> list[Path]:
    """One of each sort that is not an image: lists, JSONs, XMLs, class files."""
    images = {".jpg", ".png", ".mat"}
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in images and path.name[0] != "."
    ]
    of_images = {path.stem for path in folder.rglob("*") if path.suffix in images}
    sorts = {
        path.suffix if path.stem in of_images else path.parent / path.stem: path
        for path in found
    }
    return list(sorts.values())


TEXT_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: len(data) * 2 // 3],
    "no text": lambda data: b"\xff\xfe\x00\x01\x80" * 50,
    "of another kind": lambda data: b"<html>[{]}" + data,
    "doubled": lambda data: data + data,
    "very deep": lambda data: b"[" * 200_000,
    "very long line": lambda data: b"a" * 2_000_000,
}


@pytest.mark.parametrize("damage", TEXT_DAMAGE)
def test_broken_list_or_annotation_file_is_no_silent_loss(
    name: str,
    drawn: Path,
    whole: dict[str, str],
    damage: str,
    tmp_path: Path,
    build_plainly: Build,
) -> None:
    """Either one clear line, or whatever is missing is counted and told."""
    dataset_format = format_class(name)()
    calm = set(dataset_format.scan(drawn).warnings)
    for number, path in enumerate(other_files(drawn, name)):
        source = tmp_path / str(number) / "source"
        shutil.copytree(drawn, source)
        broken = source / path.relative_to(drawn)
        broken.write_bytes(TEXT_DAMAGE[damage](path.read_bytes()))
        out = source.parent / "out"
        try:
            manifest = build_plainly(
                source,
                out,
                dataset_format=dataset_format,
                on_error="skip",
                max_reject_share=1,
            )
        except SegdataError as error:
            assert_is_one_clear_line(error)
            continue
        records = records_of(manifest, out)
        assert records.items() <= whole.items()
        told = set(manifest.warnings) - calm or manifest.has_rejects
        lost = whole.keys() - records.keys() or contents(out) != contents(
            drawn.parent / "whole"
        )
        if (name, damage, path.suffix) in SEEMS_WHOLE:
            continue
        assert told or not lost, f"{path.name}, {damage}: a loss that nothing tells of"


def contents(out: Path) -> Counter[str]:
    """How many objects, regions and labelled images there are, and of which classes."""
    manifest_path = out / "manifest.json"
    assert manifest_path.is_file()
    found: Counter[str] = Counter()
    for shard in sorted(out.glob("*.tfrecord-*")):
        split = shard.name.rpartition(".")[0].rpartition("-")[2]
        for record in RecordSource(out, split):
            found["labels"] += record.label_map() is not None
            found["regions"] += len(record.regions)
            found.update(item.name for item in record.objects)
    return found


def reasons_and_notes() -> dict[str, str]:
    """Every reason of a refusal, and note, that is spelled in what builds a record."""
    rooms = ("formats", "images", "masks", "records", "building")
    paths = [ROOT / "segdata/annotations.py"]
    paths += [
        path for room in rooms for path in (ROOT / "segdata" / room).rglob("*.py")
    ]
    found = {}
    # What reads built records, and what keeps an output directory, is not the source's.
    others = {"parse", "png_masks", "output", "directory", "update", "spool"}
    others |= {"build", "again", "kept", "gather", "lock", "validate", "versions"}
    for path in (path for path in paths if path.stem not in others):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            value: Any = None
            if isinstance(node, ast.keyword) and node.arg == "reason":
                value = node.value
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "notes.add":
                value = node.args[0]
            if isinstance(value, ast.Constant):
                found[str(value.value)] = path.name
    return found


def test_every_reason_and_note_stands_in_the_table() -> None:
    found = reasons_and_notes()
    assert {"bad-box", "box-clipped", "bad-polygon", "listed-twice"} <= found.keys()
    missing = {slug: file for slug, file in found.items() if f"`{slug}`" not in TABLE}
    assert not missing


def test_every_format_has_its_section() -> None:
    sections = re.findall(r"^## (.+)$", TABLE, re.MULTILINE)
    assert set(FORMATS) <= set(sections)
