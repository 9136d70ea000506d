"""`segdata show OUT`: a picture of records with their masks."""

from __future__ import annotations

from pathlib import Path

import click

from segdata.errors import OptionError, OutputError
from segdata.manifest import read_manifest
from segdata.record_picture import picture_of
from segdata.sheet import grid
from segdata.source import RecordSource


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--split", help="Split to draw from. [default: the first]")
@click.option(
    "--count",
    type=click.IntRange(1, 100),
    default=9,
    show_default=True,
    help="Number of records.",
)
@click.option("--key", "keys", multiple=True, help="Draw this record; may be repeated.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("grid.jpg"),
    show_default=True,
    help="Picture to write, JPEG or PNG by its suffix.",
)
def show(
    out: Path, split: str | None, count: int, keys: tuple[str, ...], output: Path
) -> None:
    """Draw records: image, coloured masks, overlay and legend."""
    if output.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OptionError(f"--output is {output}: expected a .jpg or .png file.")
    source = RecordSource(out, split or next(iter(read_manifest(out).splits)))
    chosen = [_position(source, key) for key in keys] or range(min(count, len(source)))
    label_map = source.manifest.label_map
    pictures = [picture_of(source[index], label_map) for index in chosen]
    sheet = grid(pictures, label_map)
    try:
        sheet.save(output, quality=92)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}.") from error
    click.echo(f"wrote {output}: {len(pictures)} records, {sheet.width}x{sheet.height}")


def _position(source: RecordSource, key: str) -> int:
    try:
        return source.keys.index(key)
    except ValueError:
        raise OptionError(
            f"no record has the key {key!r}. A key is the image's path without its "
            f"suffix, e.g. {source.keys[0]!r}."
        ) from None
