"""The type of arguments that name a folder or file, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from segdata.errors import OptionError
from segdata.storage.paths import Location, locate


class LocationType(click.ParamType[Location]):
    """A path of this machine, or an address such as `s3://bucket/folder`."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """Makes a path of it; refuses stores that are not known."""
        text: str | os.PathLike[str] = value
        return locate(text)


class LocalPathType(click.ParamType[Path]):
    """A path of this machine: what it names is not written into stores."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Makes a path of it; refuses addresses."""
        location = locate(value)
        if location.is_store:
            called = param.human_readable_name if param else "the path"
            raise OptionError(
                f"{called} is {location}: expected a path of this machine. Write it "
                "there, then copy it."
            )
        return location
