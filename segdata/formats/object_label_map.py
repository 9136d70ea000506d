"""The classes of formats whose annotations are objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from segdata.formats.coco.categories import painted_label_map
from segdata.formats.folders import count_of
from segdata.label_map import RGB, LabelClass, LabelMap, distinct_colors

SEMANTIC_HELP = (
    "Paint a label map from the objects too: crowds lowest, smaller masks above larger "
    "ones."
)

_SHOWN = 20

Class = tuple[int, str, RGB | None]
"""Id in the source, or its place from 1 where that has none; name; and colour where
the source gives one."""


def told_classes(names: Sequence[str], of: str) -> str:
    """A warning that the classes are those that the annotations happen to have."""
    shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    count = count_of(names, "class is", "classes are")
    return f"no class file: {count} what {of} say, sorted: {shown}"


def object_label_map(classes: Iterable[Class], *, is_painted: bool) -> LabelMap:
    """Contiguous classes from 1, in the order that they come in.

    A name that stands twice gets its id behind it.

    Args:
      classes: The classes; ids stand once each.
      is_painted: Whether label maps are to be painted from the objects.

    Raises:
      OptionError: If a painted label map cannot hold so many classes.
    """
    rows = list(classes)
    uses = Counter(name for _, name, _ in rows)
    found = tuple(
        LabelClass(
            id=index,
            name=name if uses[name] == 1 else f"{name} {source_id}",
            color=color or drawn,
            source_ids=(source_id,),
        )
        for index, ((source_id, name, color), drawn) in enumerate(
            zip(rows, distinct_colors(len(rows)), strict=True), 1
        )
    )
    if is_painted:
        return painted_label_map(found, has_void=False)
    return LabelMap(object_classes=found)
