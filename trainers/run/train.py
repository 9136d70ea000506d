"""A training run: manifest -> stream -> model -> compile -> fit, in its directory."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import keras

from segdata.errors import MissingDependencyError, OptionError
from segdata.progress import display
from segdata.reading.record_source import RecordSource
from segdata.storage.paths import Address, locate
from segdata.trainers.instances import training as instances
from segdata.trainers.models import build_model
from segdata.trainers.run.callbacks import Reporter, Validation
from segdata.trainers.run.checkpoint import (
    Checkpoint,
    History,
    StopOnNaN,
    kept_rows,
    restore_state,
)
from segdata.trainers.run.data import TrainingData, open_data
from segdata.trainers.run.directory import STATE_NAME, RunDirectory, describe_run
from segdata.trainers.run.initial import load_initial_weights
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.pictures import Pictures
from segdata.trainers.run.placement import Placement, place
from segdata.trainers.run.plan import tell_plan
from segdata.trainers.run.schedule import build_optimizer
from segdata.trainers.semantic import training as semantic
from segdata.trainers.semantic.predictor import set_precision

logger = logging.getLogger(__name__)
TASKS: dict[str, Any] = {"semantic": semantic, "instances": instances}
"""By `TrainOptions.task`: modules of the same functions, where tasks differ."""


def train(
    options: TrainOptions, run_dir: Address, data: TrainingData | None = None
) -> History:
    """Trains a model, or goes on where an earlier call was stopped.

    Args:
      options: Of the run.
      run_dir: Its directory: new, empty, or of the same run.
      data: What `open_data` gave for the options, if it was called before.

    Returns:
      The metrics of every epoch.

    Raises:
      OptionError: If options contradict each other, the data or the devices.
      OutputError: If there is no finished build, or the directory cannot be used.
      MissingDependencyError: If a package for what was asked is not installed.
    """
    directory = RunDirectory(run_dir)
    _check_start(options, directory)
    data = data or open_data(options)
    policy = set_precision(data.options.precision)
    try:
        with place(data.options) as placement:
            return fit(data, directory, placement)
    finally:
        keras.config.set_dtype_policy(policy)


def _check_start(options: TrainOptions, directory: RunDirectory) -> None:
    if options.tensorboard and directory.path.is_store:
        raise OptionError(
            f"tensorboard writes to this machine, and the run to {directory.path}: "
            "leave it out, or choose a --run-dir here."
        )
    if options.tensorboard and find_spec("tensorboard") is None:
        raise MissingDependencyError(
            "logs for TensorBoard need tensorboard, which is not installed: "
            "pip install tensorboard, or leave it out."
        )
    initial = options.initial_weights
    if initial and not locate(initial).is_file():
        raise OptionError(
            f"initial_weights is {initial!r}, which is no file: expected the "
            "best.weights.h5 or last.weights.h5 of a run."
        )


def fit(data: TrainingData, directory: RunDirectory, placement: Placement) -> History:
    """Stream, model, compile, fit; from the checkpoint on, if there is one."""
    options, task = data.options, TASKS[data.options.task]
    keras.utils.set_random_seed(options.seed % 2**32)
    model_options = task.model_options(data)
    run = describe_run(options, model_options, data, placement.backend)
    goal = task.goal(data, placement)
    history = History(goal=goal, rows=kept_rows(directory.file(STATE_NAME)))
    done = len(history.rows)
    directory.check(run, done)
    placement.check_hosts(run.identity, done)
    stopped = options.patience and history.epochs_since_best >= options.patience
    if done >= options.epochs or stopped:
        logger.info("%s is finished already, after %d epochs", directory.path, done)
        return history

    model = build_model(options.model, model_options)
    if options.initial_weights and not done:
        load_initial_weights(
            model, options.initial_weights, options.model, model_options
        )
    compile_model(model, data, placement)
    model.optimizer.build(model.trainable_variables)
    restore_state(directory.file(STATE_NAME), model)
    outputs, steps = task.outputs(model), data.steps_per_epoch
    stream = task.training_stream(data, placement, outputs, done * steps)
    validation, other = None, None
    if data.val_split:
        validation = task.validation_stream(data, placement, outputs)
    if data.eval_image_size != data.image_size:
        other = _model_to_measure(data, placement)
    measured = Validation(task.filling(data), other, validation)

    if placement.is_first:
        directory.begin(run)
    tell_plan(model, data, placement, done)
    num_images = (options.epochs - done) * steps * options.batch_size
    with display(num_images, "training", every=60) as advance:
        model.fit(
            stream,
            validation_data=None if other else validation,
            initial_epoch=done,
            epochs=options.epochs,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[
                measured,
                StopOnNaN(),
                *task.measuring(data, placement),
                Checkpoint(directory, history, options.patience, placement.host_index),
                *(_shown(data, directory, placement, other)),
                Reporter(options, steps, history, advance),
            ],
        )
    return history


def compile_model(model: Any, data: TrainingData, placement: Placement) -> None:
    """Compiles a model of either task for training."""
    options = data.options
    model.compile(
        optimizer=build_optimizer(options, data.steps_per_epoch),
        jit_compile=placement.jit_compile(options),
        steps_per_execution=options.steps_per_execution,
        **TASKS[options.task].losses(model, data),
    )


def _model_to_measure(data: TrainingData, placement: Placement) -> Any:
    """A model of the other size, whose weights are those of the one that learns."""
    options = replace(
        semantic.model_options(data),
        image_size=data.eval_image_size,
        load_weights=False,
    )
    model = build_model(data.options.model, options)
    compile_model(model, data, placement)
    return model


def _shown(
    data: TrainingData, directory: RunDirectory, placement: Placement, other: Any
) -> list[Any]:
    """Callbacks that draw. Not on several hosts: all would have to predict together."""
    options, found = data.options, list[Any]()
    if options.pictures_every and placement.num_hosts == 1:
        draw = partial(
            TASKS[options.task].sheet,
            classes=data.classes,
            batch_size=placement.num_devices,
        )
        source = RecordSource(data.directory, data.val_split or options.train_split)
        folder = directory.file("pictures")
        found.append(Pictures(folder, source, draw, options.pictures_every, other))
    if options.tensorboard and placement.is_first:
        folder = directory.file("tensorboard")
        found.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    return found
