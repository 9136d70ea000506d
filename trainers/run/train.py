"""A training run: manifest -> stream -> compile -> fit, in a directory of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
from PIL import Image

from segdata.errors import MissingDependencyError, OptionError
from segdata.progress import display
from segdata.reading.record_source import RecordSource
from segdata.trainers.instances import training as instances
from segdata.trainers.instances.pictures import detections_sheet
from segdata.trainers.models import build_model
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.callbacks import Progress, Validation
from segdata.trainers.run.checkpoint import (
    STATE_NAME,
    Checkpoint,
    History,
    StopOnNaN,
    restore_state,
)
from segdata.trainers.run.data import TrainingData, open_data
from segdata.trainers.run.directory import RunDirectory, describe_run
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.pictures import Pictures
from segdata.trainers.run.placement import Placement, place
from segdata.trainers.run.schedule import build_optimizer
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.semantic.metrics import segmentation_metrics
from segdata.trainers.semantic.pictures import records_sheet
from segdata.trainers.semantic.predictor import load_weights, set_precision
from segdata.trainers.semantic.stream import training_stream, validation_stream

logger = logging.getLogger(__name__)


def train(options: TrainOptions, run_dir: str) -> History:
    """Trains a model, or goes on where an earlier call was stopped.

    Args:
      options: Of the run.
      run_dir: Its directory: new, empty, or of the same run.

    Returns:
      The metrics of every epoch.

    Raises:
      OptionError: If options contradict each other, the data or the devices.
      OutputError: If there is no finished build, or the directory cannot be used.
      MissingDependencyError: If a package for what was asked is not installed.
    """
    if options.tensorboard and find_spec("tensorboard") is None:
        raise MissingDependencyError(
            "logs for TensorBoard need tensorboard, which is not installed: "
            "pip install tensorboard, or leave --tensorboard out."
        )
    initial = options.initial_weights
    if initial and not Path(initial).is_file():
        raise OptionError(
            f"initial_weights is {initial!r}, which is no file: expected the "
            "best.weights.h5 or last.weights.h5 of a run."
        )
    data = open_data(options)
    directory = RunDirectory(run_dir)
    policy = set_precision(options.precision)
    try:
        with place(options) as placement:
            return _train(options, data, directory, placement)
    finally:
        keras.config.set_dtype_policy(policy)


def _train(
    options: TrainOptions,
    data: TrainingData,
    directory: RunDirectory,
    placement: Placement,
) -> History:
    keras.utils.set_random_seed(options.seed % 2**32)
    task = TASKS[options.task]
    model_options = task.model_options(options, data)
    if placement.is_first:
        backend = keras.backend.backend()
        directory.begin(describe_run(options, model_options, data, backend))
    model = build_model(options.model, model_options)
    if options.initial_weights:
        load_weights(model, Path(options.initial_weights))
    steps = options.steps_per_epoch or -(-data.num_records // options.batch_size)
    outputs = task.outputs(model)
    compile_model(model, options, data, placement, steps)

    history = History(goal=task.goal(options, data, placement))
    model.optimizer.build(model.trainable_variables)
    restore_state(directory.file(STATE_NAME), model, history)
    done = len(history.rows)
    stopped = options.patience and history.epochs_since_best >= options.patience
    if done >= options.epochs or stopped:
        logger.info("%s is finished already, after %d epochs", directory.path, done)
        return history
    if done:
        logger.info(
            "resuming %s after epoch %d of %d", directory.path, done, options.epochs
        )
    _say(options, data, placement, model, steps)
    validation = None
    if data.val_split:
        validation = task.validation_stream(options, data, placement, outputs)
    other, stream = None, None
    if data.eval_image_size != data.image_size:
        other = _model_to_measure(options, data, placement)
        stream, validation = validation, None
    num_images = (options.epochs - done) * steps * options.batch_size
    with display(num_images, "training") as advance:
        model.fit(
            task.training_stream(options, data, placement, outputs, done * steps),
            validation_data=validation,
            initial_epoch=done,
            epochs=options.epochs,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[
                Validation(task.filling(options, data), other, stream),
                StopOnNaN(),
                *task.measuring(options, data, placement),
                Progress(advance, options.batch_size),
                _checkpoint(options, directory, history, placement),
                *_pictures(options, data, directory, placement, other),
            ],
        )
    return history


def _model_to_measure(
    options: TrainOptions, data: TrainingData, placement: Placement
) -> Any:
    """A model of the other size, whose weights are those of the one that learns."""
    without_weights = replace(
        _model_options(options, data), image_size=data.eval_image_size, weights=None
    )
    model = build_model(options.model, without_weights)
    compile_model(model, options, data, placement, 1)
    return model


def _model_options(options: TrainOptions, data: TrainingData) -> ModelOptions:
    return ModelOptions(
        num_classes=data.classes.num_classes,
        image_size=data.image_size,
        encoder=options.encoder,
        weights=options.weights,
        upsampling=options.upsampling,
        batch_norm=options.batch_norm,
        batch_norm_momentum=options.batch_norm_momentum,
        width=options.width,
        dropout=options.dropout,
        seed=options.seed,
    )


def _outputs(model: Any) -> list[str]:
    """Names of the outputs that labels go to, if there are several."""
    return list(model.output) if isinstance(model.output, dict) else []


def _goal(options: TrainOptions, data: TrainingData, placement: Placement) -> str:
    return "val_mean_iou" if data.val_split else "loss"


def _filling(options: TrainOptions, data: TrainingData) -> float:
    """Images in the batches of a validation, over those that are there."""
    if data.val_split is None:
        return 1.0
    num_records = data.manifest.splits[data.val_split].num_records
    return -(-num_records // options.batch_size) * options.batch_size / num_records


def compile_model(
    model: Any,
    options: TrainOptions,
    data: TrainingData,
    placement: Placement,
    steps_per_epoch: int,
) -> None:
    """Compiles a model of either task for training."""
    model.compile(
        optimizer=build_optimizer(options, steps_per_epoch),
        jit_compile=placement.jit_compile(options),
        steps_per_execution=options.steps_per_execution,
        **TASKS[options.task].losses(model, options, data),
    )


def _losses(model: Any, options: TrainOptions, data: TrainingData) -> dict[str, Any]:
    """Losses and metrics of label maps; an auxiliary output has a loss of its own."""
    num_classes = data.classes.num_classes

    def loss() -> SegmentationLoss:
        return SegmentationLoss(num_classes, options.loss, data.class_weights)

    metrics = segmentation_metrics(num_classes, data.pixel_classes.void_id)
    outputs = _outputs(model)
    if not outputs:
        return {"loss": loss(), "metrics": metrics}
    weights = {name: options.auxiliary_weight for name in outputs}
    return {
        "loss": {name: loss() for name in outputs},
        "loss_weights": weights | {"logits": 1.0},
        "metrics": {"logits": metrics},
    }


def _checkpoint(
    options: TrainOptions,
    directory: RunDirectory,
    history: History,
    placement: Placement,
) -> Checkpoint:
    start = time.monotonic()

    def report(epoch: int, row: Mapping[str, float]) -> None:
        nonlocal start
        seconds, start = time.monotonic() - start, time.monotonic()
        shown = "  ".join(
            f"{name} {value:.4f}" for name, value in row.items() if name != "epoch"
        )
        logger.info(
            "epoch %d of %d: %s  %.0f s", epoch + 1, options.epochs, shown, seconds
        )
        if history.goal in row and history.tells_nothing:
            logger.info(
                "%s has been 0 in every epoch so far: the best one is chosen by its "
                "loss",
                history.goal,
            )

    return Checkpoint(
        directory,
        history,
        patience=options.patience,
        host_index=placement.host_index,
        report=report,
    )


def _pictures(
    options: TrainOptions,
    data: TrainingData,
    directory: RunDirectory,
    placement: Placement,
    other: Any,
) -> list[Any]:
    """Callbacks that draw. Not on several hosts: all would have to predict together."""
    found: list[Any] = []
    if options.pictures_every and placement.num_hosts == 1:
        split = data.val_split or options.train_split
        draw = partial(
            TASKS[options.task].sheet,
            classes=data.classes,
            batch_size=placement.num_devices,
        )
        source = RecordSource(data.directory, split)
        folder, every = directory.file("pictures"), options.pictures_every
        found.append(Pictures(folder, source, draw, every, other))
    if options.tensorboard and placement.is_first:
        folder = directory.file("tensorboard")
        found.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    return found


def _say(
    options: TrainOptions,
    data: TrainingData,
    placement: Placement,
    model: Any,
    steps: int,
) -> None:
    height, width = data.image_size
    logger.info(
        "%s on %s: %d images of %dx%d, %d classes, %.1f million weights, %d steps an "
        "epoch, %s with %d device(s) on %d host(s)",
        options.model,
        data.manifest.name,
        data.num_records,
        height,
        width,
        data.classes.num_classes,
        model.count_params() / 1e6,
        steps,
        placement.backend,
        placement.num_devices,
        placement.num_hosts,
    )


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What differs between models of pixels and of objects."""

    model_options: Callable[[TrainOptions, TrainingData], Any]
    losses: Callable[[Any, TrainOptions, TrainingData], dict[str, Any]]
    """What to compile the model with, besides the optimiser."""
    outputs: Callable[[Any], list[str]]
    training_stream: Callable[..., Any]
    validation_stream: Callable[..., Any]
    goal: Callable[[TrainOptions, TrainingData, Placement], str]
    filling: Callable[[TrainOptions, TrainingData], float]
    """Factor on Keras's validation losses, for images that fill up the last batch."""
    measuring: Callable[[TrainOptions, TrainingData, Placement], list[Any]]
    """Callbacks that add to an epoch's metrics, before it is kept."""
    sheet: Callable[..., Image.Image]
    """Draws what a model finds in records."""


TASKS = {
    "semantic": _Task(
        model_options=_model_options,
        losses=_losses,
        outputs=_outputs,
        training_stream=training_stream,
        validation_stream=validation_stream,
        goal=_goal,
        filling=_filling,
        measuring=lambda options, data, placement: [],
        sheet=records_sheet,
    ),
    "instances": _Task(
        model_options=instances.model_options,
        losses=lambda model, options, data: {},  # they are the model's own
        outputs=lambda model: [],
        training_stream=instances.training_stream,
        validation_stream=instances.validation_stream,
        goal=instances.goal,
        filling=lambda options, data: 1.0,  # the model weighs images itself
        measuring=instances.measuring,
        sheet=detections_sheet,
    ),
}
"""By `TrainOptions.task`."""
