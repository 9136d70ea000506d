from __future__ import annotations

import csv
import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_runs
from PIL import Image
from training_runs import assert_same_state, kill_after_an_epoch, start

from segdata.errors import CorruptionError, OptionError, OutputError, TrainingError
from segdata.trainers.run.callbacks import Reporter
from segdata.trainers.run.checkpoint import History, check_losses
from segdata.trainers.run.directory import STATE_NAME, RunDirectory
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.train import train

SMALL = {
    "model": "tiny",
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


def test_run_interrupted_and_resumed_ends_in_the_same_weights(
    camvid_build: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "interrupted"

    def interrupt(self: Reporter, batch: int, logs: object = None) -> None:
        if (run / STATE_NAME).exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(options(camvid_build), str(run))
    assert len(rows_of(run)) == 1
    history = train(options(camvid_build), str(run))
    assert len(history.rows) == 3
    assert_same_state(run, undisturbed)
    assert rows_of(run) == rows_of(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_run_killed_and_resumed_ends_in_the_same_weights(
    backend: str, camvid_build: Path, tmp_path: Path
) -> None:
    pytest.importorskip(backend, reason="needs the extra 'jax'")
    given = options(camvid_build, model="unet-small")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    training_runs.rows_of(start(given, whole, backend))
    kill_after_an_epoch(given, killed, backend)
    training_runs.rows_of(start(given, killed, backend))
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


def test_run_of_an_earlier_version_goes_on(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    told = json.loads((run / "run.json").read_text())
    # It had other options, and a size only if one was given.
    told["options"] |= {"image_size": None, "distribute": "auto", "tpu": None}
    del told["options"]["clip_norm"]
    (run / "run.json").write_text(json.dumps(told))
    assert RunDirectory(run).load().options.image_size == (32, 48)
    assert len(train(options(camvid_build), str(run)).rows) == 3


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
        match=r"options: batch_size was 8 and is 4; learning_rate was 0.01 and is 0.02",
    ):
        train(changed, str(undisturbed))


def changed_run(run: Path, undisturbed: Path, **changes: Any) -> Path:
    """A copy of a run whose `run.json` tells of other data."""
    shutil.copytree(undisturbed, run)
    data = json.loads((run / "run.json").read_text())
    data["dataset"].update(changes)
    (run / "run.json").write_text(json.dumps(data))
    return run


def test_run_on_a_dataset_that_was_built_anew_is_refused(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for name in ("fingerprint", "source_sha256"):
        run = changed_run(tmp_path / name, undisturbed, **{name: "another"})
        with pytest.raises(OptionError, match="other images, annotations or options"):
            train(options(camvid_build), str(run))


def test_finished_run_goes_on_for_more_epochs(
    camvid_build: Path, tmp_path: Path
) -> None:
    steady = {"schedule": "constant", "steps_per_epoch": 1}
    run = str(tmp_path / "run")
    short = train(options(camvid_build, epochs=1, **steady), run)
    longer = options(camvid_build, epochs=2, **steady)
    found = train(longer, run)
    assert found.rows[:1] == short.rows
    train(longer, str(tmp_path / "whole"))
    assert_same_state(tmp_path / "run", tmp_path / "whole")
    # And at other rates, which its first epochs did not have.
    third = options(camvid_build, epochs=3, learning_rate=0.1, steps_per_epoch=1)
    assert train(third, run).rows[:2] == found.rows
    told = json.loads((tmp_path / "run/run.json").read_text())["options"]
    assert (told["epochs"], told["schedule"]) == (3, "poly")


def test_unfinished_run_cannot_become_longer_where_rates_depend_on_it(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    told = json.loads((run / "run.json").read_text())
    told["options"]["epochs"] = 4
    (run / "run.json").write_text(json.dumps(told))
    with pytest.raises(
        OptionError, match=r"epochs was 4 and is 5.* more epochs once it is finished"
    ):
        train(options(camvid_build, epochs=5), str(run))


def test_failed_start_does_not_occupy_the_directory(
    camvid_build: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run, path = tmp_path / "run", str(undisturbed / "last.weights.h5")
    with pytest.raises(CorruptionError, match="are damaged or of another model"):
        train(options(camvid_build, initial_weights=path, width=5), str(run))
    assert not run.exists()
    # Nor one that failed in its first epoch.
    once = {"steps_per_epoch": 1, "epochs": 1}
    with pytest.raises(TrainingError, match=r"nothing is kept. Train again"):
        train(options(camvid_build, learning_rate=1e30, **once), str(run))
    assert len(train(options(camvid_build, **once), str(run)).rows) == 1


def test_loss_that_is_no_number_ends_the_run(
    camvid_build: Path, tmp_path: Path
) -> None:
    bad = options(camvid_build, learning_rate=1e30, steps_per_epoch=3, batch_norm=False)
    with pytest.raises(
        TrainingError, match=r"loss is (nan|inf) in epoch 1: .* nothing"
    ):
        train(bad, str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    with pytest.raises(
        TrainingError, match=r"is nan in epoch 3: .* of epoch 2 are kept"
    ):
        check_losses(2, {"loss": 0.5, "val_loss": float("nan")})


def test_validation_loss_is_a_mean_over_images_that_are_there(
    camvid_build: Path, tmp_path: Path
) -> None:
    # 12 images: batches of 12 are full, of 8 the last one is half empty.
    still = {"learning_rate": 1e-30, "batch_norm": False, "epochs": 1, "dropout": 0.0}
    losses = []
    for size, other in ((12, None), (8, None), (8, (48, 64))):
        given = options(
            camvid_build,
            batch_size=size,
            steps_per_epoch=1,
            image_size=other or SMALL["image_size"],
            eval_image_size=SMALL["image_size"],
            **still,
        )
        [row] = train(given, str(tmp_path / f"{size}-{other}")).rows
        losses.append(row["val_loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


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


def test_run_without_improvement_stops(
    camvid_build: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
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
    plan = r"tiny on camvid: 40 images of split train, 32 high x 48 wide, 12 classes, "
    assert re.search(plan, caplog.text)
    assert re.search(r"9 epochs of 1 steps of 8 images; about 0\.\d GB", caplog.text)
    first, *others = (
        record.message for record in caplog.records if "epoch " in record.message
    )
    assert re.fullmatch(
        r"epoch 1 of 9: loss [\d.]+  val_loss [\d.]+  val_mean_iou [\d.]+  "
        r"best so far  \d+ s, \d+ (s|min) left",
        first,
    )
    assert "best so far" not in "".join(others)
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
        model="tiny-with-auxiliary",
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


@pytest.mark.parametrize("bad", [float("nan"), None])
def test_best_epoch_by_loss_is_the_lowest_that_is_a_number(bad: Any) -> None:
    history = History(goal="loss", rows=[{"loss": x} for x in (bad, 3.0, 1.0, 2.0)])
    assert history.best == 2


def test_loss_decides_between_equal_scores() -> None:
    losses = [10.4, 5.0, 2.5, 9.0]
    scores = [{"val_mask_AP": 0.0}, {}, {"val_mask_AP": 0.0}, {"val_mask_AP": 0.0}]
    rows = [{"val_loss": x, **y} for x, y in zip(losses, scores, strict=True)]
    history = History(goal="val_mask_AP", rows=rows)
    assert history.best == 2
    assert history.tells_nothing
    rows[3]["val_mask_AP"] = 0.1
    assert (history.best, history.tells_nothing) == (3, False)


def test_patience_counts_scored_epochs_only() -> None:
    rows: list[dict[str, float]] = [{"val_mask_AP": 0.5}, {}, {}, {"val_mask_AP": 0.1}]
    history = History(goal="val_mask_AP", rows=rows[:3])
    assert history.epochs_since_best == 0
    history.rows = [*rows, {}]
    assert history.epochs_since_best == 1


def test_split_or_size_that_is_missing_is_refused(
    camvid_build: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="split 'all' is not in this dataset: it has"):
        train(options(camvid_build, train_split="all"), str(tmp_path / "run"))
    with pytest.raises(OutputError, match="holds no finished build"):
        train(options(tmp_path), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_steps_wait_for_no_numbers(
    camvid_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keras brings the logs to the host on the main thread after every step, and so
    # waits for the device, unless all callbacks say that it need not. It does so on
    # TensorFlow in any case; here it takes it for JAX.
    from keras.src import backend
    from keras.src.utils import python_utils

    monkeypatch.setattr(backend, "IS_THREAD_SAFE", True)
    plain, waits = python_utils.pythonify_logs, []

    def spy(logs: Any) -> Any:
        if logs and threading.current_thread() is threading.main_thread():
            waits.append(logs)
        return plain(logs)

    monkeypatch.setattr(python_utils, "pythonify_logs", spy)
    counts = []
    for steps in (2, 5):
        waits.clear()
        given = options(camvid_build, epochs=1, steps_per_epoch=steps, patience=1)
        train(given, str(tmp_path / f"{steps}"))
        counts.append(len(waits))
    assert counts[0] == counts[1]
