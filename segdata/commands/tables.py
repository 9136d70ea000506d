"""Columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import click

from segdata.errors import printable


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows in columns as wide as their widest cell, indented by two."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  " + "  ".join(cells).rstrip())
