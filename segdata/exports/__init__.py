"""Ways out of a build: one file or folder per target, found by name.

May import `dataset`, `drawing`, `records` and what comes before them.
Start at `base.py`. To add a target: a file here and a line in `EXPORTS`.
"""

from __future__ import annotations

import importlib
from typing import cast

from segdata.errors import OptionError
from segdata.exports.base import ExportTarget

EXPORTS = {
    "coco": "segdata.exports.coco.export:CocoExport",
    "pets": "segdata.exports.pets:PetsExport",
    "png": "segdata.exports.png:PngExport",
    "yolo": "segdata.exports.yolo:YoloExport",
}
"""Name -> `module:class`, loaded when used."""


def export_class(name: str) -> type[ExportTarget]:
    """Loads a target's class.

    Raises:
      OptionError: If there is no such target.
    """
    if name not in EXPORTS:
        raise OptionError(f"unknown target {name!r}: known are {', '.join(EXPORTS)}.")
    module, _, attribute = EXPORTS[name].partition(":")
    return cast(type[ExportTarget], getattr(importlib.import_module(module), attribute))
