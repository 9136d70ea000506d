"""Fixtures for models that find objects.

- `drawn_coco`: a build of drawn scenes in COCO's layout, 16 train and 8 val.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from segdata.samples.coco import write_coco_sample


@pytest.fixture(scope="session")
def drawn_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from segdata.building.build import build
    from segdata.formats.coco.format import Coco

    folder = tmp_path_factory.mktemp("drawn")
    write_coco_sample(folder / "source", seed=0, num_train=16, num_val=8)
    build(Coco(), folder / "source", folder / "out")
    return folder / "out"
