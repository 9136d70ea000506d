"""Fixtures for the library's tests that need a dataset but no Beam.

- `build_plainly`: a whole build in turn, of CamVid unless `dataset_format` says else.
- `tiny_source`, `tiny_build`: a folder by `make_segnet`, and that built once, in two
  shards of each split; copy it to change it.
- `mask_way`: runs a module's tests with compiled runs, and again without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segdata.building.build import build
from segdata.formats.base import Format
from segdata.formats.camvid.format import CamVid
from segdata.masks import compiled
from segdata.shards.manifest import Manifest


def _build_plainly(
    source: Path, out: Path, *, dataset_format: Format | None = None, **options: Any
) -> Manifest:
    return build(dataset_format or CamVid(), source, out, **options)


@pytest.fixture(scope="session")
def build_plainly() -> Callable[..., Manifest]:
    return _build_plainly


@pytest.fixture(scope="session")
def tiny_source(
    tmp_path_factory: pytest.TempPathFactory, make_segnet: Callable[..., Path]
) -> Path:
    return make_segnet(tmp_path_factory.mktemp("tiny") / "source")


@pytest.fixture(scope="session")
def tiny_build(tiny_source: Path) -> Path:
    out = tiny_source.parent / "out"
    _build_plainly(tiny_source, out, num_shards=2)
    return out


@pytest.fixture(scope="module", params=["compiled", "pycocotools"])
def mask_way(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "compiled":
        if compiled.runs is None:
            pytest.skip("no C compiler when segdata was installed")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "runs", None)
        yield
