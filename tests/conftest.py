"""Fixtures for all tests.

- `shared_data`: the real datasets that lie beside the project, or a skip.
- `camvid_source`: a drawn CamVid folder in the SegNet layout: 40 train, 12 val frames.
- `camvid_build`: that folder, built once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from segdata.samples.camvid import write_camvid_sample

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with `camvid/ pets/ coco/`; its licences forbid a copy in the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real datasets are not beside the project (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def camvid_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camvid")
    write_camvid_sample(folder, seed=0, num_train=40, num_val=12)
    return folder


@pytest.fixture(scope="session")
def camvid_build(camvid_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Not at the top: most tests need no Beam.
    from segdata.formats.camvid import CamVid
    from segdata.pipelines.build import BuildRequest, build

    out = tmp_path_factory.mktemp("build") / "out"
    build(BuildRequest(format=CamVid(), source=camvid_source, out=out))
    return out
