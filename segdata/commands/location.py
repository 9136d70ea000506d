"""The type of arguments that name a folder or file, wherever it lies."""

from __future__ import annotations

import os
from typing import Any

import click

from segdata.remote_path import Location, locate


class LocationType(click.ParamType[Location]):
    """A path of this machine, or an address such as `s3://bucket/folder`."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """Makes a path of it; refuses stores that are not known."""
        text: str | os.PathLike[str] = value
        return locate(text)
