"""The dataset formats: a folder of annotations in, annotation dicts out.

May import `label_map`, `annotations`, `storage`, `images`; reads no pixels of photos.
Start at `base.py`. To add a format: a file or folder here and a line in `FORMATS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from segdata.annotations import Annotation
from segdata.errors import OptionError, suggestion
from segdata.formats.base import Format

FORMATS = {
    "camvid": "segdata.formats.camvid.format:CamVid",
    "cityscapes": "segdata.formats.cityscapes.format:Cityscapes",
    "coco": "segdata.formats.coco.format:Coco",
    "cvat": "segdata.formats.cvat.format:Cvat",
    "label-studio": "segdata.formats.label_studio.format:LabelStudio",
    "labelme": "segdata.formats.labelme.format:Labelme",
    "mask-folder": "segdata.formats.mask_folder.format:MaskFolder",
    "pets": "segdata.formats.pets.format:Pets",
    "sa-1b": "segdata.formats.sa_1b:SA1B",
    "voc": "segdata.formats.voc.format:Voc",
    "yolo": "segdata.formats.yolo.format:Yolo",
}
"""Name -> `module:class`, loaded when used."""


READERS: dict[str, str] = {
    "labelme": "segdata.formats.labelme.reader:read_labelme",
    "sa-1b": "segdata.formats.sa_1b:read_sa_1b",
    "yolo": "segdata.formats.yolo.labels:read_yolo",
}
"""Name of a reader of annotation files -> `module:function`, loaded when used."""

ReadAnnotationFile = Callable[[bytes, Annotation], Mapping[str, Any]]
"""Takes what the file holds and the annotation dict that names it; returns what is to
be added to the dict. Raises `AnnotationError`."""


def annotation_reader(name: str) -> ReadAnnotationFile:
    """Loads the reader of annotation files.

    Raises:
      OptionError: If there is no such reader.
    """
    return cast(ReadAnnotationFile, _load(READERS, "reader", name))


def format_class(name: str) -> type[Format]:
    """Loads a format's class.

    Raises:
      OptionError: If there is no such format.
    """
    return cast(type[Format], _load(FORMATS, "format", name))


def _load(table: Mapping[str, str], what: str, name: str) -> Any:
    if name not in table:
        raise OptionError(
            f"unknown {what} {name!r}: known are {', '.join(table)}."
            f"{suggestion(name, table)}"
        )
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
