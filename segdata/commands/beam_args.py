"""Beam's own options, which follow after `--`."""

from __future__ import annotations

import click


def check_beam_args(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """A click callback: refuses what is no option.

    Raises:
      UsageError: If an argument does not begin with a dash.
    """
    stray = [argument for argument in value if not argument.startswith("-")]
    if stray:
        raise click.UsageError(
            f"got unexpected arguments {stray}: expected Beam's options alone, as "
            "--name=value, after --."
        )
    return value
