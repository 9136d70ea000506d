"""`run.json` and checkpoints that somebody else wrote."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import orjson
import pytest
from fuzz.mutate import mutate_json

from segdata.errors import CorruptionError, SegdataError
from segdata.label_map import LabelMap
from segdata.storage.local_path import LocalPath
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.checkpoint import kept_rows
from segdata.trainers.run.data import Classes
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.run.options import TrainOptions

LABEL_MAP = LabelMap.from_dict({"sky": 0, "road": 1})


def run() -> Run:
    return Run(
        options=TrainOptions(model="unet", data="d", image_size=(64, 64)),
        model_options=ModelOptions(num_classes=2, image_size=(64, 64)),
        classes=Classes(label_map=LABEL_MAP),
        dataset={
            "directory": "d",
            "name": "camvid",
            "fingerprint": "f",
            "source_sha256": "s",
            "val_split": "val",
            "label_map": LABEL_MAP.to_json(),
        },
        backend="tensorflow",
        versions={"segdata": "1"},
    )


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    found = RunDirectory(tmp_path / "run")
    found.begin(run())
    return found


def test_run_comes_back(directory: RunDirectory) -> None:
    assert directory.load() == run()


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("options", "epochs", "many"),
        ("options", "model", 7),
        ("options", "batch_size", -5),
        ("model_options", "width", "9"),
        ("dataset", "directory", 1),
        ("dataset", "label_map", []),
        ("versions", "segdata", 1),
    ],
)
def test_run_of_another_kind_is_refused(directory, part, key, value) -> None:
    path = directory.file("run.json")
    data = orjson.loads(path.read_bytes())
    data[part][key] = value
    path.write_bytes(orjson.dumps(data))
    with pytest.raises(CorruptionError, match=r"run\.json"):
        directory.load()


def test_what_is_read_of_edited_runs_can_be_used(directory: RunDirectory) -> None:
    path = directory.file("run.json")
    before = path.read_bytes()
    refused = 0
    for seed in range(400):
        path.write_bytes(mutate_json(before, 1 << 20, seed) or b"")
        try:
            found = directory.load()
            assert found.identity >= 0
            directory._check_same(found.to_json(), run().to_json(), 3)
        except SegdataError:
            refused += 1
    assert 200 < refused < 400


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (b"[1]", "history.0 is 1: expected an object"),
        (b"{}", "history is {}: expected a list"),
        (b'[{"loss":"x"}]', "history.0.loss is 'x'"),
        (bytes(1 << 27), r"history\.npy would take 134217856"),
    ],
)
def test_history_of_another_kind_is_refused(
    tmp_path: Path, history: bytes, message: str
) -> None:
    path = LocalPath(tmp_path / "state.npz")
    file = io.BytesIO()
    np.save(file, np.frombuffer(history, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("history.npy", file.getvalue())
    with pytest.raises(CorruptionError, match=message):
        kept_rows(path)
