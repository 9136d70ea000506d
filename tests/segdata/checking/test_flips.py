"""One bit of a finished build is flipped at a time: `verify` names every one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

import segdata
from segdata.checking.sums import check_beside
from segdata.checking.verify import verify_shard
from segdata.errors import CorruptionError, OutputError
from segdata.shards.manifest import read_manifest, summarize_shard
from segdata.shards.receipt import read_receipt
from segdata.shards.seal import sealed
from segdata.storage.local_path import LocalPath

CACHE = ".sources.json"
Look = Callable[[Path, Path], list[str]]


@pytest.fixture(scope="module")
def out(tiny_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = shutil.copytree(tiny_build, tmp_path_factory.mktemp("flips") / "out")
    segdata.stats(copy)
    return copy


def whole_verify(out: Path, path: Path) -> list[str]:
    return [problem.message for problem in segdata.verify(out).problems]


def part_of_verify(out: Path, path: Path) -> list[str]:
    """What `verify` does about one file."""
    manifest = read_manifest(out)
    for split in manifest.splits.values():
        for shard in split.shards:
            if shard.name in path.name:
                found = verify_shard(
                    LocalPath(out), shard, manifest.label_map, lambda n: None
                )
                return [problem.message for problem in found]
    receipts = {
        name: [
            summarize_shard(read_receipt(LocalPath(out), shard.name))
            for shard in split.shards
        ]
        for name, split in manifest.splits.items()
    }
    found = check_beside(LocalPath(out), manifest, receipts)
    return [f"{name}: {what}" for name, what in found]


def flip_and_verify(out: Path, rng: random.Random, look: Look) -> str:
    """Flips a bit, verifies, flips it back; returns what was flipped if it passed."""
    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name != CACHE)
    path = rng.choice([file for file in files if file.stat().st_size])
    whole = path.read_bytes()
    position = rng.randrange(len(whole))
    changed = bytearray(whole)
    changed[position] ^= 1 << rng.randrange(8)
    path.write_bytes(changed)
    try:
        found = look(out, path)
    except (CorruptionError, OutputError) as error:
        found = [str(error)]
    finally:
        path.write_bytes(whole)
    is_named = any(path.stem in line for line in found)
    return "" if is_named else f"{path.name} at {position}: {found}"


def flip_many(out: Path, seeds: range, look: Look) -> list[str]:
    assert segdata.verify(out).problems == ()
    passed = [flip_and_verify(out, random.Random(seed), look) for seed in seeds]
    return [what for what in passed if what]


def test_a_flipped_bit_anywhere_is_named(out: Path) -> None:
    assert flip_many(out, range(250), part_of_verify) == []


@pytest.mark.slow
def test_ten_thousand_flipped_bits_are_named(out: Path) -> None:
    assert flip_many(out, range(10_000), whole_verify) == []


@pytest.mark.parametrize("old", [b'"num_records": ', b'"voided_pixels": '])
def test_a_manifest_that_says_other_than_its_receipts_is_named(
    out: Path, tmp_path: Path, old: bytes
) -> None:
    copy = shutil.copytree(out, tmp_path / "out")
    text = (copy / "manifest.json").read_bytes()
    at = text.index(old, text.index(b'"splits"'))
    data = orjson.loads(text[:at] + old + b"9" + text[at + len(old) :])
    del data["sha256"]
    (copy / "manifest.json").write_bytes(sealed(data))  # as who edits it could
    found = [problem.message for problem in segdata.verify(copy).problems]
    assert any("is not what the receipts add up to" in line for line in found)
    assert not any("its sha256 is another" in line for line in found)
