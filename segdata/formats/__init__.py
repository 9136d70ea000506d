"""The dataset formats: a folder of annotations in, annotation dicts out.

May import `label_map`, `annotations`, `storage`, `images`; reads no pixels of photos.
Start at `base.py`. To add a format: a file or folder here and a line in `FORMATS`.
"""

from __future__ import annotations

import importlib
from typing import cast

from segdata.errors import OptionError
from segdata.formats.base import Format

FORMATS = {
    "camvid": "segdata.formats.camvid.format:CamVid",
    "coco": "segdata.formats.coco.format:Coco",
    "mask-folder": "segdata.formats.mask_folder.format:MaskFolder",
    "pets": "segdata.formats.pets.format:Pets",
}
"""Name -> `module:class`, loaded when used."""


def format_class(name: str) -> type[Format]:
    """Loads a format's class.

    Raises:
      OptionError: If there is no such format.
    """
    if name not in FORMATS:
        raise OptionError(f"unknown format {name!r}: known are {', '.join(FORMATS)}.")
    module, _, attribute = FORMATS[name].partition(":")
    return cast(type[Format], getattr(importlib.import_module(module), attribute))
