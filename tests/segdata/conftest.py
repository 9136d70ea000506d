"""Fixtures for the library's tests that need a dataset but no Beam.

- `make_segnet`: writes a tiny CamVid folder in the SegNet layout.
- `build_plainly`: a whole build by the library's functions, without Beam.
- `tiny_build`: such a folder built once, in three shards; copy it to change it.
- `file_hashes`: SHA-256 of every file below a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata import output
from segdata.formats.camvid import CamVid
from segdata.manifest import Manifest
from segdata.plan import BuildOptions, make_plan
from segdata.shard_builder import BuildJob, build_shard


def _write_segnet(
    root: Path, *, num_train: int = 5, num_val: int = 3, height: int = 24
) -> Path:
    for number, (split, count) in enumerate((("train", num_train), ("val", num_val))):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        lines = []
        for index in range(count):
            rng = np.random.default_rng([number, index])
            name = f"{split}_{index:03d}.png"
            pixels = rng.integers(0, 256, (height, 32, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            labels = np.repeat(rng.integers(0, 12, (height, 4), np.uint8), 8, axis=1)
            Image.fromarray(labels).save(root / f"{split}annot" / name)
            lines.append(f"/SegNet/{split}/{name} /SegNet/{split}annot/{name}\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def _build_plainly(
    source: Path, out: Path, *, overwrite: bool = False, **options: Any
) -> Manifest:
    chosen = BuildOptions(**options)
    scan = CamVid().scan(source)
    plan = make_plan(scan, source, "camvid", chosen)
    fingerprint = output.build_fingerprint("camvid", scan.label_map, plan, chosen)
    job = BuildJob(
        source=str(source),
        out=str(out),
        label_map=scan.label_map,
        on_error=chosen.on_error,
    )
    for shard in output.begin(out, plan, fingerprint, overwrite=overwrite):
        build_shard(shard, job, lambda count: None)
    return output.finish(
        out,
        name="camvid",
        scan=scan,
        plan=plan,
        fingerprint=fingerprint,
        options=chosen,
    )


@pytest.fixture(scope="session")
def make_segnet() -> Callable[..., Path]:
    return _write_segnet


@pytest.fixture(scope="session")
def build_plainly() -> Callable[..., Manifest]:
    return _build_plainly


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_segnet(tmp_path_factory.mktemp("tiny") / "source")


@pytest.fixture(scope="session")
def tiny_build(tiny_source: Path) -> Path:
    out = tiny_source.parent / "out"
    _build_plainly(tiny_source, out, num_shards=2)
    return out


@pytest.fixture(scope="session")
def file_hashes() -> Callable[[Path], dict[str, str]]:
    def hashes(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return hashes
