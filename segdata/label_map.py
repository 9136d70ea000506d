"""Classes: source ids and colours <-> contiguous ids, names, and what to ignore.

A `LabelMap` *is* a mapping from class name to contiguous id, as the Object Detection
API's `label_map_dict` is, so a plain dict does wherever one is expected. It also knows
how the source spells each class (ids, colours) and how to draw it.

Two class tables, because one record may carry both: `object_classes` for instances
(ids from 1, 0 stays background) and `semantic_classes` for the pixels of label maps
(ids 0 to 255). A name that stands in both has the same id in both.
"""

from __future__ import annotations

import colorsys
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import OptionError, printable

RGB = tuple[int, int, int]
_SHOWN = 20
"""Classes that `repr` names."""

OUTSIDE_IGNORE_ID = 255
"""The field's usual id for pixels that belong to no class."""


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """One class as the records name it and as the source spells it."""

    id: int
    """Contiguous id in the records."""
    name: str
    """Name, unique within its table."""
    color: RGB
    """Colour to draw it in, 0 to 255 each."""
    source_ids: tuple[int | str, ...] = ()
    """Ids that mean this class in the source: mask values or category ids."""
    source_colors: tuple[RGB, ...] = ()
    """Colours that mean this class in colour-coded label images."""
    source_names: tuple[str, ...] = ()
    """Names of the source classes that were grouped into this one, if any were."""
    supercategory: str = ""
    """COCO's supercategory, or empty."""
    is_thing: bool = True
    """Whether its objects can be counted; False for stuff such as sky (panoptic)."""
    keypoints: tuple[str, ...] = ()
    """Names of the keypoints that its objects have."""
    skeleton: tuple[tuple[int, int], ...] = ()
    """Pairs of keypoints to join by a line, counted from 1 as COCO does."""
    source: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else the source says of the class."""


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelMap(Mapping[str, int]):
    """The classes of a dataset. As a mapping: class name -> contiguous id."""

    object_classes: tuple[LabelClass, ...] = ()
    """Classes of instances, ids from 1."""
    semantic_classes: tuple[LabelClass, ...] = ()
    """Classes of label-map pixels, ids from 0 to 255."""
    ignore_id: int | None = None
    """Label-map id that losses and metrics skip: of a listed class (CamVid's void) or
    255. `None` where every pixel counts."""
    unknown_id: int | None = None
    """Label-map id given to source values outside the class set; `None` refuses them.
    """
    unpainted_id: int | None = None
    """Label-map id of pixels that no object covers, where the label map is painted from
    the objects; `None` where it is not."""
    left_out_classes: tuple[LabelClass, ...] = ()
    """Object classes of the source whose objects records do not have."""
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_table("object", self.object_classes, lowest=1, highest=2**31 - 1)
        _check_table("semantic", self.semantic_classes, lowest=0, highest=255)
        for what in ("ignore_id", "unknown_id", "unpainted_id"):
            value = getattr(self, what)
            if value is not None and not 0 <= value <= 255:
                raise OptionError(f"{what} is {value}: expected 0 to 255, or None.")
        ids: dict[str, int] = {}
        for item in (*self.semantic_classes, *self.object_classes):
            if ids.setdefault(item.name, item.id) != item.id:
                raise OptionError(
                    f"class {item.name!r} has two ids: {ids[item.name]} for pixels and "
                    f"{item.id} for objects. Give it one."
                )
        object.__setattr__(self, "_ids", ids)

    def __getitem__(self, name: str) -> int:
        return self._ids[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        shown = [f"{printable(n)[:40]}: {i}" for n, i in list(self.items())[:_SHOWN]]
        more = f", and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        ignored = "" if self.ignore_id is None else f"; ignored: {self.ignore_id}"
        return f"<LabelMap of {len(self)} classes: {', '.join(shown)}{more}{ignored}>"

    def _repr_html_(self) -> str:
        """A table of ids, colours and names, for notebooks."""
        classes = {c.name: c for c in (*self.object_classes, *self.semantic_classes)}
        rows = [
            f"<tr><td>{c.id}</td><td style='background:rgb{c.color}'>&emsp;</td>"
            f"<td style='text-align:left'>{html.escape(c.name)}"
            f"{' (ignored)' * (c.id == self.ignore_id)}</td></tr>"
            for c in sorted(classes.values(), key=lambda c: c.id)
        ]
        return f"<table>{''.join(rows)}</table>"

    @classmethod
    def from_dict(cls, label_map_dict: Mapping[str, int]) -> LabelMap:
        """Builds a label map from `{name: id}`; ids mean the same in the source.

        Returns `label_map_dict` itself where it is a `LabelMap` already.
        """
        if isinstance(label_map_dict, LabelMap):
            return label_map_dict
        negative = [name for name, class_id in label_map_dict.items() if class_id < 0]
        if negative:
            raise OptionError(
                f"class {negative[0]!r} has id {label_map_dict[negative[0]]}: expected "
                "at least 0."
            )
        classes = tuple(
            LabelClass(id=class_id, name=name, color=color, source_ids=(class_id,))
            for color, (name, class_id) in zip(
                distinct_colors(len(label_map_dict)),
                label_map_dict.items(),
                strict=True,
            )
        )
        return cls(
            object_classes=tuple(item for item in classes if item.id >= 1),
            semantic_classes=tuple(item for item in classes if 0 <= item.id <= 255),
        )

    @cached_property
    def semantic_by_source_id(self) -> dict[int | str, int]:
        """Source mask value -> contiguous label-map id."""
        return {s: item.id for item in self.semantic_classes for s in item.source_ids}

    @cached_property
    def semantic_by_source_color(self) -> dict[RGB, int]:
        """Source colour -> contiguous label-map id."""
        return {
            c: item.id for item in self.semantic_classes for c in item.source_colors
        }

    @cached_property
    def object_by_source_id(self) -> dict[int | str, LabelClass]:
        """Source category id -> object class."""
        return {s: item for item in self.object_classes for s in item.source_ids}

    @cached_property
    def object_by_name(self) -> dict[str, LabelClass]:
        """Class name -> object class."""
        by_source = {n: item for item in self.object_classes for n in item.source_names}
        return by_source | {item.name: item for item in self.object_classes}

    def is_left_out(self, item: Mapping[str, Any]) -> bool:
        """Whether the object of an annotation dict is of a class that is left out."""
        category = item.get("category")
        category_id = item.get("category_id")
        return any(
            category == left.name
            if category is not None
            else category_id in left.source_ids
            for left in self.left_out_classes
        )

    @cached_property
    def num_keypoints(self) -> int:
        """Keypoints of the class that has the most: every object gets so many."""
        return max((len(item.keypoints) for item in self.object_classes), default=0)

    @property
    def padding_id(self) -> int:
        """Label-map id of padding and filler images: no class that is learnt.

        It is `ignore_id` where there is one, else 255, else the highest id without a
        class.

        Raises:
          OptionError: If all 256 ids are classes.
        """
        if self.ignore_id is not None:
            return self.ignore_id
        taken = {item.id for item in self.semantic_classes}
        free = [i for i in range(256) if i not in taken]
        if not free:
            raise OptionError(
                "all 256 ids of label maps are classes: none is left for padding. "
                "Ignore one of them."
            )
        return free[-1]

    def training_ids(self) -> NDArray[np.uint8]:
        """Label-map id -> id to train with, `[256]`: 255 for what is ignored."""
        ids = np.arange(256, dtype=np.uint8)
        if self.ignore_id is not None:
            ids[self.ignore_id] = OUTSIDE_IGNORE_ID
        return ids

    @property
    def is_panoptic(self) -> bool:
        """Whether there are classes of stuff, so that objects share out the pixels."""
        return not all(item.is_thing for item in self.object_classes)

    def to_json(self) -> dict[str, Any]:
        """The label map as the manifest stores it."""
        left_out = [_class_to_json(c) for c in self.left_out_classes]
        return {
            "object_classes": [_class_to_json(c) for c in self.object_classes],
            "semantic_classes": [_class_to_json(c) for c in self.semantic_classes],
            "ignore_id": self.ignore_id,
            "unknown_id": self.unknown_id,
            "unpainted_id": self.unpainted_id,
            **({"left_out_classes": left_out} if left_out else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelMap:
        """Reads what `to_json` wrote."""
        return cls(
            object_classes=tuple(map(_class_from_json, data["object_classes"])),
            semantic_classes=tuple(map(_class_from_json, data["semantic_classes"])),
            ignore_id=data["ignore_id"],
            unknown_id=data["unknown_id"],
            unpainted_id=data.get("unpainted_id"),  # absent from manifests of version 1
            # Absent where there are none.
            left_out_classes=tuple(
                map(_class_from_json, data.get("left_out_classes", ()))
            ),
        )

    def to_pbtxt(self) -> str:
        """`label_map.pbtxt` of the Object Detection API.

        Ids start at 1 there: a label map's class 0 is left to mean background.
        """
        classes = self.object_classes or self.semantic_classes
        return "".join(
            f"item {{\n  id: {item.id}\n  name: {_quoted(item.name)}\n}}\n"
            for item in classes
            if item.id >= 1
        )


def distinct_colors(count: int) -> list[RGB]:
    """`count` colours that stay apart; more of them begin with the same ones.

    The first 256 are each as far from all before it as any candidate is, as the eye
    sees it: in CIELAB. Those after them turn the hue by the golden angle.
    """
    colors = list(_farthest_colors()[:count])
    for index in range(len(colors), count):
        hue = (index * 0.61803398875) % 1.0
        colors.append(_from_hsv(hue, 0.75, (0.95, 0.7, 0.5)[index % 3]))
    return colors


@cache
def _farthest_colors() -> tuple[RGB, ...]:
    """256 colours, neither pale nor dark, each the farthest from those before it."""
    candidates = [
        _from_hsv(hue / 48, saturation, value)
        for value in (0.98, 0.8, 0.6, 0.45)
        for saturation in (0.9, 0.6, 0.35)
        for hue in range(48)
    ]
    seen = _cielab(np.array(candidates))
    chosen = [0]
    nearest = np.full(len(seen), np.inf)
    while len(chosen) < 256:
        offsets = np.square(seen - seen[chosen[-1]]).sum(axis=1)
        nearest = np.minimum(nearest, offsets)
        # Rounded: which of two is farther must not hang on a machine's last bit.
        chosen.append(int(np.argmax(nearest.round(3))))
    return tuple(candidates[place] for place in chosen)


def _from_hsv(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _cielab(rgb: NDArray[np.int64]) -> NDArray[np.float64]:
    """SRGB `[n, 3]`, 0 to 255 -> CIELAB under D65, where distance is what one sees."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124, 0.2126, 0.0193],
        [0.3576, 0.7152, 0.1192],
        [0.1805, 0.0722, 0.9505],
    ]
    xyz = linear @ np.array(to_xyz) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lightness, x, z = 116 * f[:, 1] - 16, f[:, 0] - f[:, 1], f[:, 1] - f[:, 2]
    return np.stack([lightness, 500 * x, 200 * z], axis=1)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _check_table(
    kind: str, classes: tuple[LabelClass, ...], *, lowest: int, highest: int
) -> None:
    seen_ids: dict[int, str] = {}
    seen_sources: dict[object, str] = {}
    for item in classes:
        if not lowest <= item.id <= highest:
            raise OptionError(
                f"{kind} class {item.name!r} has id {item.id}: expected {lowest} to "
                f"{highest}."
            )
        if seen_ids.setdefault(item.id, item.name) != item.name:
            raise OptionError(
                f"{kind} classes {seen_ids[item.id]!r} and {item.name!r} share the id "
                f"{item.id}."
            )
        for source in (*item.source_ids, *item.source_colors):
            if seen_sources.setdefault(source, item.name) != item.name:
                raise OptionError(
                    f"{kind} classes {seen_sources[source]!r} and {item.name!r} share "
                    f"the source value {source}."
                )
    names = [item.name for item in classes]
    for name in names:
        if printable(name) != name:
            raise OptionError(
                f"{kind} class {name!r} has control characters in its name: expected "
                "text on one line."
            )
    if len(set(names)) != len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise OptionError(f"{kind} class names appear twice: {', '.join(doubled)}.")


def _class_to_json(item: LabelClass) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "color": list(item.color),
        "source_ids": list(item.source_ids),
        "source_colors": [list(color) for color in item.source_colors],
        "source_names": list(item.source_names),
        "supercategory": item.supercategory,
        "is_thing": item.is_thing,
        "keypoints": list(item.keypoints),
        "skeleton": [list(pair) for pair in item.skeleton],
        "source": dict(item.source),
    }


def _class_from_json(data: Mapping[str, Any]) -> LabelClass:
    return LabelClass(
        id=data["id"],
        name=data["name"],
        color=rgb(data["color"]),
        source_ids=tuple(data["source_ids"]),
        source_colors=tuple(map(rgb, data["source_colors"])),
        source_names=tuple(data["source_names"]),
        supercategory=data["supercategory"],
        # Absent from manifests of version 1.
        is_thing=data.get("is_thing", True),
        keypoints=tuple(data.get("keypoints", ())),
        skeleton=tuple((a, b) for a, b in data.get("skeleton", ())),
        source=data.get("source", {}),
    )


def rgb(values: list[int]) -> RGB:
    """Three numbers as a colour tuple."""
    red, green, blue = values
    return red, green, blue
