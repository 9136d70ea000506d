"""Classes while building: `--map` renames and merges them, `--only` keeps some.

Only the label map changes: source ids, colours and names mean other classes, so the
annotations of every format stay as they are, and records keep the source's own ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from segdata.errors import OptionError, suggestion
from segdata.formats.text import read_lines
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelClass, LabelMap
from segdata.storage.paths import Location

IGNORE, DROP = "ignore", "drop"
"""In place of a name: pixels of the class are ignored, its objects left out."""
OTHERS = "*"
"""In place of a class: all that no line names."""

_MAX_BYTES = 1 << 20
_SEPARATORS = ("->", "=", "\t", ",")
_BACKGROUNDS = ("background", "_background_")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChoice:
    """What `--map` and `--only` ask for."""

    names: Mapping[str, str]
    """Name or id of a class of the source -> its name, `ignore` or `drop`."""
    only: tuple[str, ...] = ()
    """Names to keep; empty for all."""

    def __bool__(self) -> bool:
        return bool(self.names or self.only)


def read_class_map(path: Location) -> dict[str, str]:
    """Reads the file of `--map`: lines such as `truck -> car` or `7, ignore`.

    Raises:
      OptionError: If a line has no such form, or names a class twice.
    """
    names: dict[str, str] = {}
    for number, line in read_lines(path, max_bytes=_MAX_BYTES):
        mark = next((mark for mark in _SEPARATORS if mark in line), None)
        old, _, new = (part.strip() for part in line.partition(mark or "->"))
        where = f"line {number} of {path.name}, {line[:60]!r}"
        if not old or not new:
            raise OptionError(
                f"{where}: expected a class and its name, as in 'truck -> car', or "
                "'ignore' or 'drop' in place of the name."
            )
        if old in names:
            raise OptionError(f"{where}: the class {old!r} stands there twice.")
        names[old] = new
    if not names:
        raise OptionError(f"{path.name} maps no class: expected lines 'truck -> car'.")
    return names


def choose_classes(label_map: LabelMap, choice: ClassChoice) -> tuple[LabelMap, str]:
    """The label map with the classes that are asked for.

    Returns:
      It, and a line that says what became of the source's classes.

    Raises:
      OptionError: If a class is unknown, or classes cannot be merged.
    """
    targets = _targets(label_map, choice)
    kept = [c for c in label_map.object_classes if not _is_left_out(targets[c.name])]
    left_out = [c for c in label_map.object_classes if c not in kept]
    objects = _merged(kept, targets)
    _check_names([*objects, *left_out], targets)
    void = _void_name(label_map, targets)
    pixels = _pixel_classes(label_map, targets, void)
    if not objects and not any(item.name != void for item in pixels):
        raise OptionError("--map and --only leave no class: expected at least one.")
    of_objects, of_pixels = _ids(objects, pixels)
    names = {c.id: targets[c.name] for c in label_map.semantic_classes}

    def moved(class_id: int | None) -> int | None:
        """The id now of what a pixel id meant."""
        if class_id not in names:
            return class_id
        return of_pixels.get(names[class_id], of_pixels.get(void, OUTSIDE_IGNORE_ID))

    unpainted, ignored = moved(label_map.unpainted_id), label_map.ignore_id
    if void in of_pixels or unpainted == OUTSIDE_IGNORE_ID:
        ignored = of_pixels.get(void, OUTSIDE_IGNORE_ID)
    elif ignored in names:  # it is a class like others now
        ignored = None
    changed = replace(
        label_map,
        object_classes=tuple(replace(c, id=of_objects[c.name]) for c in objects),
        semantic_classes=tuple(replace(c, id=of_pixels[c.name]) for c in pixels),
        left_out_classes=tuple(left_out),
        ignore_id=ignored,
        unknown_id=moved(label_map.unknown_id),
        unpainted_id=unpainted,
    )
    return changed, _told(targets)


def _is_left_out(target: str) -> bool:
    return target in (IGNORE, DROP)


def _targets(label_map: LabelMap, choice: ClassChoice) -> dict[str, str]:
    """Name of each class of the source -> its name now, `ignore` or `drop`."""
    classes = (*label_map.semantic_classes, *label_map.object_classes)
    by_id: dict[str, set[str]] = {}
    for item in classes:
        for source_id in item.source_ids:
            by_id.setdefault(str(source_id), set()).add(item.name)
    spellings = {i: name for i, (name, *others) in by_id.items() if not others}
    spellings |= {item.name: item.name for item in classes}
    _check_known("--map", [n for n in choice.names if n != OTHERS], spellings)
    others = choice.names.get(OTHERS)
    targets = {item.name: others or item.name for item in classes}
    for spelling, new in choice.names.items():
        if spelling != OTHERS:
            targets[spellings[spelling]] = new
    named = {n: n for n in targets.values() if n not in (IGNORE, DROP)}
    _check_known("--only", choice.only, named)
    if choice.only:
        kept = {*choice.only, *_always_kept(label_map, targets)}
        targets = {old: new if new in kept else DROP for old, new in targets.items()}
    return targets


def _always_kept(label_map: LabelMap, targets: Mapping[str, str]) -> set[str]:
    """Names of the background and of what is ignored already."""
    ids = (label_map.ignore_id, label_map.unpainted_id)
    return {
        targets[item.name]
        for item in label_map.semantic_classes
        if item.id in ids or item.name.casefold() in _BACKGROUNDS
    }


def _check_known(flag: str, names: Iterable[str], known: Mapping[str, str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join([*known][:20])
            raise OptionError(
                f"{flag} names the unknown class {name!r}: known are {listed}."
                f"{suggestion(name, known)}"
            )


def _void_name(label_map: LabelMap, targets: Mapping[str, str]) -> str:
    """The name of ignored pixels: that of the class that is ignored already, if any."""
    for item in label_map.semantic_classes:
        if item.id == label_map.ignore_id:
            target = targets[item.name]
            if _is_left_out(target):
                return item.name
            # Else it is a class like others now.
            if [*targets.values()].count(target) == 1:
                return target
    name = "ignored"
    while name in targets.values():
        name += " pixels"
    return name


def _pixel_classes(
    label_map: LabelMap, targets: Mapping[str, str], void: str
) -> list[LabelClass]:
    """The classes of pixels, ignored ones as one of them, with the ids they had."""
    is_painted = label_map.unpainted_id is not None
    kept, ignored = [], []
    for item in label_map.semantic_classes:
        is_ignored = _is_left_out(targets[item.name])
        if is_ignored or targets[item.name] == void:
            ignored.append(item)
        else:
            kept.append(item)
    pixels = _merged(kept, targets)
    own = [item for item in ignored if item.id == label_map.ignore_id]
    if is_painted or not ignored:  # what is left out is painted nowhere
        return pixels
    like = own[0] if own else replace(ignored[0], id=OUTSIDE_IGNORE_ID, color=(0, 0, 0))
    merged = _join(void, like, ignored)
    place = sum(item.id < like.id for item in pixels)
    return [*pixels[:place], merged, *pixels[place:]]


def _merged(
    classes: Sequence[LabelClass], targets: Mapping[str, str]
) -> list[LabelClass]:
    """The classes of their new names, in the order of the first of each."""
    groups: dict[str, list[LabelClass]] = {}
    for item in classes:
        groups.setdefault(targets[item.name], []).append(item)
    return [_union(name, members) for name, members in groups.items()]


def _union(name: str, members: Sequence[LabelClass]) -> LabelClass:
    for what in ("keypoints", "is_thing"):
        if len({getattr(item, what) for item in members}) > 1:
            named = ", ".join(item.name for item in members)
            raise OptionError(
                f"{named} cannot be one class {name!r}: they differ in {what}."
            )
    return _join(name, members[0], members)


def _join(name: str, like: LabelClass, members: Sequence[LabelClass]) -> LabelClass:
    """One class of what several mean in the source."""
    if len(members) == 1 and like.name == name:
        return like
    groups = {item.supercategory for item in members}
    return replace(
        like,
        name=name,
        source_ids=tuple(s for item in members for s in item.source_ids),
        source_colors=tuple(s for item in members for s in item.source_colors),
        source_names=tuple(
            s for item in members for s in item.source_names or (item.name,)
        ),
        supercategory=groups.pop() if len(groups) == 1 else "",
        source=like.source if len(members) == 1 else {},
    )


def _check_names(classes: Sequence[LabelClass], targets: Mapping[str, str]) -> None:
    """Refuses a name that means one class now and meant another in the source.

    Annotations may spell classes by their names: nobody could tell which is meant.
    """
    names = {item.name for item in classes}
    for old, new in targets.items():
        if old != new and targets.get(new, new) != new and new in names:
            raise OptionError(
                f"--map gives {old!r} the name {new!r}, which another class of the "
                "source has that gets another itself: choose a new name."
            )


def _ids(
    objects: Sequence[LabelClass], pixels: Sequence[LabelClass]
) -> tuple[dict[str, int], dict[str, int]]:
    """Contiguous ids by name; a name of both tables has one id in both."""
    names = [item.name for item in objects]
    shared = {item.name for item in pixels} & {*names}
    # 0 is no class of objects.
    first = 1 if pixels and pixels[0].name in shared else 0
    is_last = pixels and pixels[-1].id == OUTSIDE_IGNORE_ID
    of_pixels = {item.name: n for n, item in enumerate(pixels, first)}
    if is_last:
        of_pixels[pixels[-1].name] = OUTSIDE_IGNORE_ID
    if not shared:
        return {name: n for n, name in enumerate(names, 1)}, of_pixels
    rest = [name for name in names if name not in shared]
    next_id = first + len(pixels)
    of_objects = {name: n for n, name in enumerate(rest, next_id)}
    return {**{name: of_pixels[name] for name in shared}, **of_objects}, of_pixels


def _told(targets: Mapping[str, str]) -> str:
    """What became of the classes, in one line."""
    left_out = [old for old, new in targets.items() if new in (IGNORE, DROP)]
    now = {new for new in targets.values() if new not in (IGNORE, DROP)}
    text = f"--map and --only make {len(now)} of {len(targets)} classes"
    if left_out:
        text += (
            f"; {len(left_out)} are left out, objects and pixels: "
            f"{', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}"
        )
    return text
