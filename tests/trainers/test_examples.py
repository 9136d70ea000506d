"""The loops that users copy run from records to weights."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples"
ONE_EPOCH = "1"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(name: str, records: Path) -> None:
        script, weights = str(FOLDER / name), str(tmp_path / "x.weights.h5")
        monkeypatch.setattr(sys, "argv", [script, str(records), weights, ONE_EPOCH])
        runpy.run_path(script, run_name="__main__")
        assert Path(weights).stat().st_size > 100_000

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_unet.py", "train_fcn.py"])
def test_label_maps_are_learnt(
    run: Any, name: str, camvid_build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(name, camvid_build)
    assert "mean IoU 0." in capsys.readouterr().out or name == "train_unet.py"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_objects_are_learnt(
    run: Any, drawn_coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train_mask_rcnn.py", drawn_coco)
    assert "objects; mask AP50 " in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["train_unet.py", "train_fcn.py", "train_mask_rcnn.py"]
)
def test_loops_are_short_and_of_parts_that_exist(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert len(text.splitlines()) < 60
    imports = [line for line in text.splitlines() if "import " in line]
    exec("\n".join(imports), {})
