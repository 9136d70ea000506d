"""Recipes: options in TOML files, ours in `presets/`, and those that users write.

A file may name another recipe as `base`, whose options hold where it has none. Tables
are only headings.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from segdata.errors import OptionError, suggestion

_FOLDER = files("segdata.trainers") / "presets"


def preset_names() -> list[str]:
    """The recipes that segdata has."""
    names = (item.name for item in _FOLDER.iterdir())
    return sorted(n.removesuffix(".toml") for n in names if n.endswith(".toml"))


def preset(name: str) -> dict[str, Any]:
    """The options of a recipe, among them its `model`.

    Raises:
      OptionError: If there is none of that name; it lists those there are.
    """
    if name not in preset_names():
        raise OptionError(
            f"preset {name!r} is unknown: expected one of {', '.join(preset_names())}."
            f"{suggestion(name, preset_names())}"
        )
    return _options(tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8")))


def read_config(path: Path) -> dict[str, Any]:
    """The options in a file.

    Raises:
      OptionError: If it cannot be read, or is no TOML.
    """
    try:
        return _options(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:  # also of bytes that are no UTF-8
        raise OptionError(f"{path} is no TOML file: {error}.") from error


def _options(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= value if isinstance(value, dict) else {name: value}
    base = found.pop("base", None)
    return {**(preset(base) if base else {}), **_with_tuples(found)}


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
