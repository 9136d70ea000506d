"""`segdata build FORMAT SOURCE OUT`: one subcommand per format, made from its class."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from segdata.building.classes import read_class_map
from segdata.building.options import DEFAULT_SHARD_BYTES, Check, parse_mask_forms
from segdata.building.splits import SplitChoice
from segdata.commands.beam_args import check_beam_args
from segdata.commands.help import BUILD_TOPICS, TopicCommand
from segdata.commands.info import print_summary
from segdata.commands.location import LocationType
from segdata.commands.sizes import ByteSize
from segdata.errors import suggestion
from segdata.formats import FORMATS, format_class
from segdata.formats.recognize import AUTO
from segdata.images.orientation import Exif
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.shards.manifest import About, Manifest
from segdata.storage.paths import Location

_COMMON: tuple[click.Parameter, ...] = (
    click.Argument(["source"], type=LocationType()),
    click.Argument(["out"], type=LocationType()),
    click.Argument(
        ["beam_args"], nargs=-1, type=click.UNPROCESSED, callback=check_beam_args
    ),
    click.Option(
        ["--split"],
        metavar="SPLITS",
        help="Splits to build. train,val: these of the source. train=0.8,val=0.2: "
        "draw them at random, always the same. trainval,val=trainval:0.1: take a tenth "
        "of trainval as val. [default: all of the source's]",
    ),
    click.Option(
        ["--name"],
        help="Name of the dataset; the names of shards begin with it. [default: the "
        "format's]",
    ),
    click.Option(
        ["--group"],
        metavar="REGEX",
        help="When splits are drawn, keep records together whose keys match alike: "
        "'^(.+)_frame' keeps the frames of a film in one split.",
    ),
    click.Option(
        ["--stratify"],
        is_flag=True,
        help="When splits are drawn, move a few records (or groups) so that no split "
        "lacks a class.",
    ),
    click.Option(
        ["--shards"],
        type=int,
        help="Number of shards of each split. [default: by --shard-size]",
    ),
    click.Option(
        ["--shard-size"],
        type=ByteSize(),
        default=DEFAULT_SHARD_BYTES,
        show_default="128MiB",
        help="Target size of a shard. Small splits still get up to 8 shards.",
    ),
    click.Option(
        ["--seed"],
        type=int,
        default=0,
        show_default=True,
        help="Seed for the order of records and for drawn splits.",
    ),
    click.Option(
        ["--masks"],
        metavar="FORMS",
        default="rle",
        show_default=True,
        help="rle: run-length masks. rle,png: PNG masks too, for Model Garden and the "
        "Object Detection API.",
    ),
    click.Option(
        ["--on-error"],
        type=click.Choice(["fail", "skip"]),
        default="fail",
        show_default=True,
        help="A bad record stops the build, or is left out and named in rejects.jsonl.",
    ),
    click.Option(
        ["--max-rejects"],
        type=click.FloatRange(0, 1),
        default=0.1,
        show_default=True,
        help="Fail if more than this share of records (or of objects) was rejected.",
    ),
    click.Option(
        ["--exif"],
        type=click.Choice(get_args(Exif)),
        default="auto",
        show_default=True,
        help="EXIF orientation: apply it, ignore it, or decide by the sizes of a "
        "sample of images and masks.",
    ),
    click.Option(
        ["--check"],
        type=click.Choice(get_args(Check)),
        default="structure",
        show_default=True,
        help="pixels: also decode every image; a warning of the decoder is an error.",
    ),
    click.Option(
        ["--max-size"],
        type=click.IntRange(min=1),
        help="Shrink images and their masks until the longer side has at most this "
        "many pixels. [default: keep the size]",
    ),
    click.Option(
        ["--map", "class_map"],
        type=LocationType(),
        metavar="FILE",
        help="File that renames and merges classes, with lines such as 'truck -> car' "
        "or '7 -> car'. '-> ignore' or '-> drop' leaves a class out; '*' means all "
        "others.",
    ),
    click.Option(
        ["--only"],
        metavar="CLASSES",
        help="Keep only these classes and the background. Objects of other classes are "
        "left out, their pixels are ignored in training.",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(min=1),
        help="Worker processes on this machine. [default: one per core, fewer for "
        "small builds]",
    ),
    click.Option(
        ["--runner"],
        metavar="NAME",
        help="Beam runner; its options follow after --. [default: this machine]",
    ),
    click.Option(
        ["--overwrite"],
        is_flag=True,
        help="Replace an earlier build in OUT. Refused if OUT is no build.",
    ),
    click.Option(
        ["--update"],
        is_flag=True,
        help="Bring the finished build in OUT up to date with SOURCE. Only shards that "
        "changed are written again. Options that you do not give stay the build's.",
    ),
)


def _as_given(value: Any) -> Any:
    return value


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


_ARGUMENTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "split": ("split", SplitChoice.parse),
    "shards": ("num_shards", _as_given),
    "shard_size": ("shard_bytes", _as_given),
    "seed": ("seed", _as_given),
    "masks": ("masks", parse_mask_forms),
    "on_error": ("on_error", _as_given),
    "max_rejects": ("max_reject_share", _as_given),
    "exif": ("exif", _as_given),
    "check": ("check", _as_given),
    "max_size": ("max_size", _as_given),
    "class_map": ("class_map", read_class_map),
    "only": ("only", _names),
    "name": ("name", _as_given),
    "group": ("group", _as_given),
    "stratify": ("stratify", _as_given),
}
"""Option -> argument of `segdata.build`, and how its value is read."""


class _Text(click.ParamType[str]):
    """Text, or `@FILE` for the text of a file, such as a BibTeX entry."""

    name = "text|@file"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Reads the file where one is named."""
        if not value.startswith("@"):
            return value
        try:
            return Path(value[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{value[1:]} cannot be read as UTF-8 text: {error}", param, ctx)


_ABOUT = tuple(
    click.Option(
        [f"--{name}"], type=_Text(), default="", help=f"{text}; kept in the manifest."
    )
    for name, text in (
        ("license", "Licence of the dataset, e.g. CC-BY-4.0"),
        ("citation", "How to cite the dataset"),
        ("description", "What the dataset is"),
        ("homepage", "Where the dataset comes from"),
    )
)


_AUTO_SUMMARY = (
    "Build the format that `segdata check` recognises; refused if there are several."
)


class _Formats(click.Group):
    """One subcommand per format."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [AUTO, *FORMATS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in (AUTO, *FORMATS):
            return _command(cmd_name)
        close = suggestion(cmd_name, (AUTO, *FORMATS))
        raise click.UsageError(
            f"unknown format {cmd_name!r}: known are {', '.join(FORMATS)}, or {AUTO}."
            f"{close}",
            ctx,
        )


@click.group(cls=_Formats)
def build() -> None:
    """Convert a dataset to sharded TFRecords.

    If the build is interrupted, run the same command again to resume it. It is complete
    once OUT/manifest.json is there. Options for Beam follow after --.
    """


def _command(name: str) -> click.Command:
    summary, params = _AUTO_SUMMARY, []
    if name != AUTO:
        cls = format_class(name)
        hints = get_type_hints(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # formats are such
        params = [_option(field, hints[field.name]) for field in fields]
        summary = cls.summary
    own = [str(param.opts[0]).removeprefix("--") for param in params]
    return TopicCommand(
        name,
        topics={f"Options of {name}": own, **BUILD_TOPICS},
        examples=((f"segdata build {name} SOURCE OUT", "build all splits"),),
        params=[*_COMMON, *_ABOUT, *params],
        callback=_callback(name),
        help=summary,
        short_help=summary,
    )


def _option(field: dataclasses.Field[Any], hint: Any) -> click.Option:
    """A format's option from its dataclass field."""
    kind: Any = hint
    if get_origin(hint) is Literal:
        kind = click.Choice(get_args(hint))
    return click.Option(
        [f"--{field.name.replace('_', '-')}"],
        type=kind,
        is_flag=kind is bool,
        default=field.default,
        show_default=True,
        help=field.metadata["help"],
    )


def _callback(name: str) -> Callable[..., None]:
    @click.pass_context
    def callback(
        ctx: click.Context,
        /,
        *,
        source: Location,
        out: Location,
        beam_args: tuple[str, ...],
        workers: int | None,
        runner: str | None,
        overwrite: bool,
        update: bool,
        **given: Any,
    ) -> None:
        where = RunnerOptions(runner=runner, workers=workers, beam_args=beam_args)
        # What is not understood is told before Beam is imported.
        about = About(**{item.name: given.pop(str(item.name)) for item in _ABOUT})
        options = {
            argument: parse(value)
            for param, (argument, parse) in _ARGUMENTS.items()
            if (value := given.pop(param)) is not None and _is_stated(ctx, param)
        }
        if name != AUTO:
            format_class(name)(**given)
        with WorkerProcesses() as processes:
            if where.is_local and workers not in (None, 1):
                processes.start(workers)
            # Not earlier: `segdata build camvid --help` needs no formats.
            from segdata.building.build import build

            engine = OnBeam(where, processes)
            start = time.monotonic()
            result = build(
                name,
                with_beam_options(source, beam_args),
                with_beam_options(out, beam_args),
                **options,
                format_options={k: v for k, v in given.items() if _is_stated(ctx, k)},
                about=about,
                overwrite=overwrite,
                update=update,
                run_shards=engine,
            )
        _report(result, out, time.monotonic() - start)

    return callback


def _is_stated(ctx: click.Context, name: str) -> bool:
    """Whether an option is no default: an update takes what the build has instead."""
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def _report(result: Manifest, out: Location, seconds: float) -> None:
    click.echo(f"{out} is built ({seconds:.1f} s)")
    print_summary(result, out)
    name = shlex.quote(str(out))
    click.echo(f"next: segdata verify {name}, segdata show {name}")
