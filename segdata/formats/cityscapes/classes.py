"""The classes of Cityscapes: all 34, or the 19 that training and evaluation count.

Ids, training ids and colours are those of `helpers/labels.py` of
https://github.com/mcordts/cityscapesScripts.
"""

from __future__ import annotations

from segdata.label_map import OUTSIDE_IGNORE_ID, RGB, LabelClass, LabelMap

CLASSES: tuple[tuple[str, int, bool, RGB], ...] = (
    ("unlabeled", 255, False, (0, 0, 0)),
    ("ego vehicle", 255, False, (0, 0, 0)),
    ("rectification border", 255, False, (0, 0, 0)),
    ("out of roi", 255, False, (0, 0, 0)),
    ("static", 255, False, (0, 0, 0)),
    ("dynamic", 255, False, (111, 74, 0)),
    ("ground", 255, False, (81, 0, 81)),
    ("road", 0, False, (128, 64, 128)),
    ("sidewalk", 1, False, (244, 35, 232)),
    ("parking", 255, False, (250, 170, 160)),
    ("rail track", 255, False, (230, 150, 140)),
    ("building", 2, False, (70, 70, 70)),
    ("wall", 3, False, (102, 102, 156)),
    ("fence", 4, False, (190, 153, 153)),
    ("guard rail", 255, False, (180, 165, 180)),
    ("bridge", 255, False, (150, 100, 100)),
    ("tunnel", 255, False, (150, 120, 90)),
    ("pole", 5, False, (153, 153, 153)),
    ("polegroup", 255, False, (153, 153, 153)),
    ("traffic light", 6, False, (250, 170, 30)),
    ("traffic sign", 7, False, (220, 220, 0)),
    ("vegetation", 8, False, (107, 142, 35)),
    ("terrain", 9, False, (152, 251, 152)),
    ("sky", 10, False, (70, 130, 180)),
    ("person", 11, True, (220, 20, 60)),
    ("rider", 12, True, (255, 0, 0)),
    ("car", 13, True, (0, 0, 142)),
    ("truck", 14, True, (0, 0, 70)),
    ("bus", 15, True, (0, 60, 100)),
    ("caravan", 255, True, (0, 0, 90)),
    ("trailer", 255, True, (0, 0, 110)),
    ("train", 16, True, (0, 80, 100)),
    ("motorcycle", 17, True, (0, 0, 230)),
    ("bicycle", 18, True, (119, 11, 32)),
)
"""Name, training id (255: void), whether it has objects, and colour, by id."""
_PLATE = -1 % 256
"""What 8 bits hold of the id of licence plates, which count as cars nowhere."""


def cityscapes_label_map(*, only_train_classes: bool) -> LabelMap:
    """The label map; what is no class is void, 255, and ignored.

    Args:
      only_train_classes: Whether only the 19 are classes, with their training ids.
    """
    semantic = [
        LabelClass(
            id=train_id if only_train_classes else index,
            name=name,
            color=color,
            source_ids=(index,),
        )
        for index, (name, train_id, _, color) in enumerate(CLASSES)
        if not only_train_classes or train_id != OUTSIDE_IGNORE_ID
    ]
    known = {source_id for item in semantic for source_id in item.source_ids}
    others = [index for index in range(len(CLASSES)) if index not in known]
    void = LabelClass(
        id=OUTSIDE_IGNORE_ID,
        name="void",
        color=(0, 0, 0),
        source_ids=(*others, _PLATE),
    )
    things = {name for name, _, has_objects, _ in CLASSES if has_objects}
    return LabelMap(
        object_classes=tuple(item for item in semantic if item.name in things),
        semantic_classes=(*sorted(semantic, key=lambda item: item.id), void),
        ignore_id=OUTSIDE_IGNORE_ID,
    )
