"""`segdata train MODEL DATA`: one option for each field of `TrainOptions`."""

from __future__ import annotations

import dataclasses
import os
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.commands.use_run import ImageSize, backend_option
from segdata.errors import OptionError, suggestion
from segdata.storage.paths import Location, locate
from segdata.trainers.models import ALL_MODELS
from segdata.trainers.run.backend import use_backend
from segdata.trainers.run.data import open_data
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.run.option_groups import GROUPS
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.presets import preset, preset_names, read_config


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
        show_default=field.default is not None
        and "[default" not in field.metadata["help"],
        help=field.metadata["help"],
        multiple=Ellipsis in get_args(hint),
        hidden=not field.metadata["main"],
    )


_HINTS = get_type_hints(TrainOptions)
OPTIONS = {
    heading: [
        _option(item, _HINTS[item.name])
        for item in dataclasses.fields(group)
        if "help" in item.metadata
    ]
    for heading, group in GROUPS.items()
}
"""Heading -> its options, those of `--help` and the others."""
_BY_NAME = {str(item.name): item for group in OPTIONS.values() for item in group}


def checked(ctx: click.Context, given: dict[str, Any], where: str) -> dict[str, Any]:
    """Values of a file or of `--set`, as text or as TOML has them, in their types.

    Raises:
      OptionError: If there is no such option, or its value is of another type.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        key = name.replace("-", "_")
        if key == "model":
            found[key] = value
            continue
        if key not in _BY_NAME:
            raise OptionError(
                f"{where} sets {name!r}, which is no option of `segdata train`."
                f"{suggestion(key, _BY_NAME)} `segdata train --options` lists all."
            )
        option = _BY_NAME[key]
        is_sequence = option.multiple or isinstance(option.type, click.Tuple)
        if is_sequence and isinstance(value, str):
            value = tuple(value.split(","))
        elif not isinstance(value, tuple):
            value = str(value)
        try:
            found[key] = option.type_cast_value(ctx, value)
        except click.BadParameter as error:
            raise OptionError(f"{where} sets {name}: {error.message}") from error
    return found


def train_options(
    ctx: click.Context,
    names: tuple[str, ...],
    recipes: list[dict[str, Any]],
    given: dict[str, Any],
    earlier: Run | None = None,
) -> TrainOptions:
    """Options from the command line, before those of recipes, before the defaults.

    In the place of defaults a run that goes on has its own.

    Raises:
      OptionError: If model or data are missing, or are others than a recipe's or the
        run's that goes on.
    """
    stated: dict[str, Any] = {}
    for recipe in recipes:
        stated |= recipe
    wanted: list[str | None] = [
        stated.pop("model", None),
        earlier.options.model if earlier else None,
    ]
    model, data = _model_and_data(names, next((m for m in wanted if m), None), earlier)
    for other, of in zip(
        wanted, ("the preset or file", "the run directory"), strict=True
    ):
        if other not in (None, model):
            raise OptionError(
                f"{of} is of {other!r}: expected the same model, got {model!r}."
            )
    for key, value in given.items():
        if ctx.get_parameter_source(key) is ParameterSource.DEFAULT:
            default = getattr(earlier.options, key) if earlier else value
            given[key] = stated.get(key, default)
    return TrainOptions(model=model, data=data, **given)


def _model_and_data(
    names: tuple[str, ...], known: str | None, earlier: Run | None
) -> tuple[str, str]:
    if len(names) > 2:
        raise OptionError(f"expected MODEL and DATA, got {len(names)} arguments.")
    if len(names) == 2 and names[0] not in ALL_MODELS:
        raise OptionError(
            f"model {names[0]!r} is unknown: expected one of {', '.join(ALL_MODELS)}."
        )
    is_first_model = bool(names) and names[0] in ALL_MODELS
    model = names[0] if is_first_model else known
    rest = names[is_first_model:]
    data = str(locate(rest[0])) if rest else earlier and earlier.dataset["directory"]
    if not model or not data:
        raise OptionError(
            f"{'DATA' if model else 'MODEL'} is missing: expected `segdata train MODEL "
            f"DATA`, with MODEL one of {', '.join(ALL_MODELS)} and DATA the output of "
            "`segdata build`. A preset knows its model, and a run that goes on both."
        )
    return model, data


def _all_options(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    for heading, options in OPTIONS.items():
        click.echo(f"{heading}:")
        for option in options:
            shown = "" if option.default in (None, ()) else f" [{option.default}]"
            click.echo(
                f"  {option.name}: {option.help}{shown * bool(option.show_default)}"
            )
    ctx.exit()


class _Grouped(TopicCommand):
    """Its topics are the groups of `TrainOptions`."""

    def by_topic(self) -> dict[str, list[click.Option]]:
        """As `TopicCommand`; the help shows only some options of a group."""
        options = [p for p in self.params if isinstance(p, click.Option)]
        rest = [option for option in options if option.name not in _BY_NAME]
        return {"Run": rest, **OPTIONS}


@click.command(
    cls=_Grouped,
    examples=(
        (
            "segdata train fcn-8 OUT --run-dir runs/fcn --preset camvid",
            "the recipe for CamVid",
        ),
        (
            "segdata train unet OUT --run-dir runs/unet --image-size 128x128",
            "your own options",
        ),
        ("segdata train mask-rcnn OUT --run-dir runs/objects", "find objects"),
        ("segdata train --resume runs/fcn", "go on with a run that was stopped"),
    ),
)
@click.argument("names", nargs=-1, metavar="MODEL DATA")
@click.option(
    "--run-dir",
    type=LocationType(),
    help="Directory of the run, here or in a store. A run that is there is resumed.",
)
@click.option(
    "--resume",
    type=LocationType(),
    help="Resume this run; nothing else is needed. More --epochs extend a finished "
    "run.",
)
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(preset_names()),
    help="Recipe: sets the model and all options that you do not give.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with options: a recipe of your own.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set any option, e.g. --set clip_norm=1. Repeat it for more; --options lists "
    "all.",
)
@click.option(
    "--options",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_all_options,
    help="List every option, and exit.",
)
@backend_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    run_dir: Location | None,
    resume: Location | None,
    preset_name: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    backend: str | None,
    **given: Any,
) -> None:
    """Train a model on a finished build.

    MODEL is fcn-32, fcn-16, fcn-8, segnet, unet, unet-small or pspnet to label pixels,
    mask-rcnn to find objects. DATA is the output of `segdata build`. To resume a run
    that was stopped, run the same command again, or give --resume RUN: it ends with the
    same weights.
    """
    place = resume or run_dir
    if place is None or (resume and run_dir):
        raise OptionError("expected --run-dir RUN, or --resume RUN (one of them).")
    directory = RunDirectory(place)
    earlier = directory.load() if resume else directory.earlier()
    recipes = [preset(preset_name)] if preset_name else []
    if config:
        recipes.append(checked(ctx, read_config(config), str(config)))
    recipes.append(checked(ctx, dict(map(_pair, settings)), "--set"))
    options = train_options(ctx, names, recipes, given, earlier)
    data = open_data(options)  # before the seconds that Keras takes
    if earlier and "KERAS_BACKEND" not in os.environ:
        backend = backend or earlier.backend
    use_backend(backend)
    # Not earlier: `segdata train --help` needs no Keras.
    from segdata.trainers.run.train import train as run_training

    history = run_training(options, place, data)
    if history.best is not None:
        best = history.rows[history.best]
        because = ", as in every epoch: chosen by its loss"
        click.echo(
            f"trained {place}: best epoch {best['epoch']:.0f} of "
            f"{len(history.rows)}, {history.goal} {best[history.goal]:.4f}"
            f"{because if history.tells_nothing else ''}"
        )
        click.echo(f"next: segdata evaluate {place}")


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise OptionError(f"--set is {text!r}: expected NAME=VALUE.")
    return name.strip(), value.strip()


train.params += _BY_NAME.values()
