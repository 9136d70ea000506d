"""`segdata train MODEL DATA`: one option for each field of `TrainOptions`."""

from __future__ import annotations

import dataclasses
import os
import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from segdata.commands.location import LocationType
from segdata.commands.use_run import backend_option
from segdata.errors import OptionError
from segdata.storage.paths import Location
from segdata.trainers.models import ALL_MODELS
from segdata.trainers.run.backend import use_backend
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.presets import PRESETS, preset


class ImageSize(click.ParamType[tuple[int, int]]):
    """`HEIGHTxWIDTH` as two numbers."""

    name = "HEIGHTxWIDTH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Reads the text."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
        if not found:
            self.fail(f"{value!r} is no size: expected HEIGHTxWIDTH, e.g. 192x256.")
        return int(found[1]), int(found[2])


def _kind(hint: Any) -> Any:
    """The click type of a field."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (item for item in get_args(hint) if item is not type(None))
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    if get_origin(hint) is tuple:
        if Ellipsis in get_args(hint):
            return get_args(hint)[0]
        return ImageSize() if get_args(hint)[0] is int else click.Tuple([float, float])
    return hint


def _option(field: dataclasses.Field[Any], hint: Any) -> click.Option:
    flag = field.name.replace("_", "-")
    names = [f"--{flag}/--no-{flag}" if hint is bool else f"--{flag}"]
    return click.Option(
        [*names, field.name],
        type=None if hint is bool else _kind(hint),
        default=field.default,
        show_default=field.default is not None,
        help=field.metadata["help"],
        multiple=Ellipsis in get_args(hint),
    )


_HINTS = get_type_hints(TrainOptions)
_FIELDS = [item for item in dataclasses.fields(TrainOptions) if "help" in item.metadata]


def train_options(
    ctx: click.Context,
    model: str,
    data: Location,
    name: str | None,
    given: dict[str, Any],
    earlier: TrainOptions | None = None,
) -> TrainOptions:
    """Options from the command line, before those of a preset, before the defaults.

    In the place of defaults a run that goes on has its own.

    Raises:
      OptionError: If the run that goes on is of another model.
    """
    if earlier and earlier.model != model:
        raise OptionError(
            f"the run directory holds a run of {earlier.model!r}: expected the same "
            f"model, got {model!r}. Choose another run directory."
        )
    stated = preset(name) if name else {}
    for key, value in given.items():
        if ctx.get_parameter_source(key) is ParameterSource.DEFAULT:
            default = getattr(earlier, key) if earlier else value
            given[key] = stated.get(key, default)
    return TrainOptions(model=model, data=str(data), **given)


@click.command()
@click.argument("model", type=click.Choice(list(ALL_MODELS)))
@click.argument("data", type=LocationType())
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Directory of the run; if it has begun there, it goes on.",
)
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(list(PRESETS)),
    help="Recipe whose options to take where none is given here.",
)
@backend_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    model: str,
    data: Location,
    run_dir: Path,
    preset_name: str | None,
    backend: str | None,
    **given: Any,
) -> None:
    """Train a model on a finished build: of label maps, or Mask R-CNN of objects.

    DATA is the output of `segdata build`. A run that was stopped goes on when the same
    command is run again, or one that leaves options out, and ends in the same weights.
    """
    earlier = RunDirectory(run_dir).earlier()
    options = train_options(
        ctx,
        model,
        data,
        preset_name,
        given,
        earlier.options if earlier else None,
    )
    if earlier and "KERAS_BACKEND" not in os.environ:
        backend = backend or earlier.backend
    use_backend(backend)
    # Not earlier: `segdata train --help` needs no Keras.
    from segdata.trainers.run.train import train as run_training

    history = run_training(options, str(run_dir))
    if history.best is not None:
        best = history.rows[history.best]
        because = ", as in every epoch: chosen by its loss"
        click.echo(
            f"trained {run_dir}: best epoch {best['epoch']:.0f} of "
            f"{len(history.rows)}, {history.goal} {best[history.goal]:.4f}"
            f"{because if history.tells_nothing else ''}"
        )


train.params += [_option(item, _HINTS[item.name]) for item in _FIELDS]
