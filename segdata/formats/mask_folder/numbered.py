"""Masks whose values number the objects of an image, all of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segdata.annotations import FoundObjects, MaskEncoding, MaskImage
from segdata.errors import OptionError
from segdata.formats.mask_folder.census import sample_of, take_census
from segdata.label_map import LabelClass, LabelMap, distinct_colors
from segdata.storage.paths import Location

OBJECT = 1
"""Category id of all objects."""
_PROBED = 8


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """How masks that number objects are read."""

    label_map: LabelMap
    nobody: tuple[int, ...]
    """Values that are no object."""
    encoding: MaskEncoding
    told: str = "objects by number"
    warnings: tuple[str, ...] = ()

    def read(self, path: str) -> dict[str, Any]:
        """What the annotation of an image says of its mask."""
        rule: FoundObjects = {"nobody": list(self.nobody), "category_id": OBJECT}
        mask: MaskImage = {"path": path, "encoding": self.encoding, "objects": rule}
        return {"mask_image": mask, "paint_label_map": True}


def number_objects(
    source: Location, masks: Sequence[str], name: str, ignore: str
) -> Numbers:
    """Decides how masks are read whose values are objects of a class.

    Args:
      source: The source.
      masks: Paths of the masks below it.
      name: Name of the class.
      ignore: A value that is no object, besides 0; or empty.

    Raises:
      OptionError: If `ignore` is no value.
    """
    if ignore and not (ignore.isascii() and ignore.isdecimal()):
        raise OptionError(
            f"--ignore is {ignore!r}: expected a value, such as 255, with --instances."
        )
    nobody = {0, *([int(ignore)] if ignore else [])}
    is_color = take_census(source, sample_of(masks, _PROBED)).encoding == "color"
    return Numbers(
        label_map=one_class(name),
        nobody=tuple(sorted(nobody)),
        encoding="id24" if is_color else "index",
    )


def one_class(name: str) -> LabelMap:
    """Objects of one class, and label maps that are painted from them.

    Raises:
      OptionError: If the name is that of the background.
    """
    if name == "background":
        raise OptionError("--instances is 'background': expected a class of objects.")
    [color] = distinct_colors(1)
    item = LabelClass(id=OBJECT, name=name, color=color, source_ids=(OBJECT,))
    background = LabelClass(id=0, name="background", color=(0, 0, 0))
    return LabelMap(
        object_classes=(item,),
        semantic_classes=(background, item),
        unpainted_id=0,
    )
