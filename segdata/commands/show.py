"""`segdata show OUT`: a picture of records with their masks."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocalPathType, LocationType
from segdata.drawing.records import picture_of
from segdata.drawing.sheet import grid
from segdata.errors import OptionError, OutputError
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import read_manifest
from segdata.storage.paths import Location


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata show OUT", "the first nine records, into grid.jpg"),
        (
            "segdata show OUT --split val --class car --count 4",
            "four records that contain cars",
        ),
        ("segdata show OUT --key train/0001 --output one.png", "one record"),
    ),
)
@click.argument("out", type=LocationType())
@click.option(
    "--split",
    help="Split to draw from, or a slice of it, such as train[:10%] or val[20:30]. "
    "[default: the first]",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100),
    default=9,
    show_default=True,
    help="Number of records.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="Draw the record with this key; repeat the option for more.",
)
@click.option(
    "--index",
    "indices",
    type=int,
    multiple=True,
    help="Draw the record at this position of the split, from 0; negative counts from "
    "the end. Repeat the option for more.",
)
@click.option(
    "--class",
    "class_names",
    multiple=True,
    help="Draw records that contain this class. Repeat the option for more.",
)
@click.option(
    "--width",
    type=click.IntRange(16, 4096),
    default=320,
    show_default=True,
    help="Width of each picture in pixels.",
)
@click.option(
    "--output",
    type=LocalPathType(),
    default=Path("grid.jpg"),
    show_default=True,
    help="Picture to write, JPEG or PNG by its suffix.",
)
def show(
    out: Location,
    split: str | None,
    count: int,
    keys: tuple[str, ...],
    indices: tuple[int, ...],
    class_names: tuple[str, ...],
    width: int,
    output: Path,
) -> None:
    """Draw records: image, coloured masks, overlay, objects and legend.

    Crowds are striped. Stuff has no box. Objects without a mask have only their box.
    Keypoints are filled if visible, hollow if covered.
    """
    if output.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OptionError(f"--output is {output}: expected a .jpg or .png file.")
    source = RecordSource(out, split or next(iter(read_manifest(out).splits)))
    label_map = source.manifest.label_map
    chosen = [_position(source, key) for key in keys]
    chosen += [_in_range(source, index) for index in indices]
    if class_names:
        found = _of_classes(source, class_names, chosen or range(len(source)))
        chosen = list(itertools.islice(found, count))
    elif not chosen:
        chosen = list(range(min(count, len(source))))
    if not chosen:
        raise OptionError(
            f"none of the selected records contains "
            f"{' or '.join(map(repr, class_names))}: `segdata stats` tells which do."
        )
    pictures = [picture_of(source[index], label_map) for index in chosen]
    sheet = grid(pictures, label_map, cell_width=width)
    try:
        sheet.save(output, quality=92)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}.") from error
    click.echo(f"wrote {output}: {len(pictures)} records, {sheet.width}x{sheet.height}")


def _of_classes(
    source: RecordSource, names: Sequence[str], positions: Iterable[int]
) -> Iterator[int]:
    """Positions of the records that show one of the classes."""
    label_map = source.manifest.label_map
    for name in names:
        if name not in label_map:
            close = difflib.get_close_matches(name, label_map, n=3)
            known = list(label_map)
            more = f" and {len(known) - 12} more" if known[12:] else ""
            raise OptionError(
                f"there is no class {name!r}: "
                + (
                    f"did you mean {', '.join(close)}?"
                    if close
                    else f"expected one of {', '.join(known[:12])}{more}."
                )
            )
    pixel_ids = [c.id for c in label_map.semantic_classes if c.name in names]
    for position in positions:
        record = source[position]
        values = record.label_values
        in_pixels = values is not None and bool(np.isin(values, pixel_ids).any())
        if in_pixels or any(item.name in names for item in record.objects):
            yield position


def _in_range(source: RecordSource, index: int) -> int:
    if not -len(source) <= index < len(source):
        raise OptionError(
            f"--index is {index}: the split has {len(source)} records, from 0 to "
            f"{len(source) - 1}."
        )
    return index % len(source)


def _position(source: RecordSource, key: str) -> int:
    try:
        return source.keys.index(key)
    except ValueError:
        raise OptionError(
            f"no record has the key {key!r}. A key is the image's path without its "
            f"suffix, e.g. {source.keys[0]!r}."
        ) from None
