from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_runs
from PIL import Image
from training_runs import assert_same_state, kill_after_an_epoch, start

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.trainers.run.checkpoint import STATE_NAME, History
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.train import train

SMALL = {
    "model": "unet-small",
    "width": 4,
    "image_size": (32, 48),
    "batch_size": 8,
    "epochs": 3,
    "learning_rate": 0.01,
    "void": "learn",
    "pictures_every": 0,
}


def options(data: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{"data": str(data), **SMALL, **changes})


def rows_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def undisturbed(camvid_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "undisturbed"
    train(options(camvid_build), str(run))
    return run


def test_run_directory_holds_what_was_asked_for_and_what_came_of_it(
    undisturbed: Path,
) -> None:
    run = json.loads((undisturbed / "run.json").read_text())
    assert run["options"]["learning_rate"] == 0.01
    assert run["model_options"]["num_classes"] == 12
    assert run["dataset"]["name"] == "camvid"
    assert {"keras", "segdata", "numpy", "python"} <= run["versions"].keys()
    rows = rows_of(undisturbed)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    columns = {"loss", "mean_iou", "pixel_accuracy", "val_loss", "val_mean_iou"}
    assert columns | {"val_pixel_accuracy"} == rows[0].keys() - {"epoch"}
    losses = [float(row["loss"]) for row in rows]
    assert losses[2] < losses[0]
    for name in ("best.weights.h5", "last.weights.h5"):
        assert (undisturbed / name).stat().st_size > 10_000
    assert not [p.name for p in undisturbed.iterdir() if p.name.startswith(".")]


def test_run_killed_and_resumed_ends_in_the_same_weights(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    kill_after_an_epoch(options(camvid_build), run)
    history = train(options(camvid_build), str(run))
    assert len(history.rows) == 3
    assert_same_state(run, undisturbed)
    assert rows_of(run) == rows_of(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_run_killed_and_resumed_on_jax_ends_in_the_same_weights(
    camvid_build: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jax", reason="needs the extra 'jax'")
    given = options(camvid_build)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    training_runs.rows_of(start(given, whole, "jax"))
    kill_after_an_epoch(given, killed, "jax")
    training_runs.rows_of(start(given, killed, "jax"))
    assert_same_state(killed, whole)
    assert rows_of(killed) == rows_of(whole)


def test_run_begins_with_the_weights_of_another(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    path = str(undisturbed / "last.weights.h5")
    more = options(camvid_build, initial_weights=path, epochs=1, learning_rate=1e-6)
    [row] = train(more, str(tmp_path / "run")).rows
    first, *_, last = (float(row["loss"]) for row in rows_of(undisturbed))
    assert abs(row["loss"] - last) < abs(row["loss"] - first)
    for missing in ("nowhere.weights.h5", str(tmp_path)):
        with pytest.raises(
            OptionError, match=r"initial_weights is .*, which is no file: expected the"
        ):
            train(options(camvid_build, initial_weights=missing), str(tmp_path / "no"))
    other = options(camvid_build, initial_weights=path, width=5)
    with pytest.raises(CorruptionError, match="are damaged or of another model"):
        train(other, str(tmp_path / "other"))


def test_finished_run_is_left_as_it_is(
    camvid_build: Path, undisturbed: Path, file_hashes: Any
) -> None:
    before = file_hashes(undisturbed)
    history = train(options(camvid_build), str(undisturbed))
    assert len(history.rows) == 3
    assert file_hashes(undisturbed) == before


def test_run_with_other_options_is_refused(
    camvid_build: Path, undisturbed: Path
) -> None:
    changed = options(camvid_build, learning_rate=0.02, batch_size=4)
    with pytest.raises(
        OptionError,
        match=r"other options: learning_rate was 0.01 and is 0.02; batch_size was",
    ):
        train(changed, str(undisturbed))


def test_directory_with_other_files_is_refused(
    camvid_build: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds other files \(thesis.txt\)"):
        train(options(camvid_build), str(tmp_path))


def test_damaged_checkpoint_is_named(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for content, message in [
        (b"no zip", "is damaged or of another model"),
        (b"", "is"),
    ]:
        run = tmp_path / f"run{len(content)}"
        run.mkdir()
        (run / "run.json").write_bytes((undisturbed / "run.json").read_bytes())
        (run / STATE_NAME).write_bytes(content)
        with pytest.raises(CorruptionError, match=rf"checkpoint .*state.npz {message}"):
            train(options(camvid_build), str(run))


def test_run_without_improvement_stops(camvid_build: Path, tmp_path: Path) -> None:
    # Nothing is learned at this rate, and with no momentum statistics stand still.
    still = options(
        camvid_build,
        learning_rate=1e-30,
        batch_norm=False,
        epochs=9,
        patience=2,
        steps_per_epoch=1,
        pictures_every=3,
        tensorboard=True,
    )
    history = train(still, str(tmp_path / "run"))
    assert len(history.rows) == 3
    assert history.best == 0
    assert train(still, str(tmp_path / "run")).rows == history.rows
    [picture] = (tmp_path / "run/pictures").iterdir()
    assert picture.name == "epoch-0003.png"
    with Image.open(picture) as sheet:
        assert sheet.width > 3 * 360
        assert len(sheet.resize((64, 64)).getcolors(4096)) > 100
    assert list((tmp_path / "run/tensorboard").rglob("events*"))


def test_model_with_an_auxiliary_head_trains_in_bfloat16(
    camvid_build: Path, tmp_path: Path
) -> None:
    given = options(
        camvid_build,
        model="pspnet",
        encoder="vgg-16",
        batch_norm=False,
        batch_size=2,
        steps_per_epoch=2,
        epochs=1,
        precision="mixed-bfloat16",
        loss="both",
        class_weights="median-frequency",
        void="ignore",
        optimizer="sgd",
        learning_rate=1e-3,
        weight_decay=1e-4,
        clip_norm=1.0,
        steps_per_execution=2,
    )
    [row] = train(given, str(tmp_path / "run")).rows
    assert np.isfinite(list(row.values())).all()
    names = {"epoch", "loss", "loss_loss", "auxiliary_loss", "mean_iou"}
    assert {"val_mean_iou", "val_pixel_accuracy"} <= row.keys()
    assert names - {"loss_loss"} <= row.keys()


@pytest.mark.parametrize(
    ("rows", "best", "since"),
    [
        ([], None, 0),
        ([0.5], 0, 0),
        ([0.1, 0.5, 0.5, 0.2], 1, 2),
        ([0.1, 0.2, 0.3], 2, 0),
    ],
)
def test_best_epoch_is_the_first_of_the_highest(
    rows: list[float], best: int | None, since: int
) -> None:
    history = History(goal="val_mean_iou", rows=[{"val_mean_iou": x} for x in rows])
    assert (history.best, history.epochs_since_best) == (best, since)


def test_best_epoch_by_loss_is_the_lowest() -> None:
    history = History(goal="loss", rows=[{"loss": x} for x in (3.0, 1.0, 2.0)])
    assert history.best == 1


def test_split_or_size_that_is_missing_is_refused(
    camvid_build: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="split 'all' is not in this dataset: it has"):
        train(options(camvid_build, train_split="all"), str(tmp_path / "run"))
    with pytest.raises(OutputError, match="holds no finished build"):
        train(options(tmp_path), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
