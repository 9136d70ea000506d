"""How masks spell their classes, and which classes there are.

A class file tells both. Where there is none all masks are read: those of nothing and
all (0 and 255, whatever the depth) have a background and a foreground; in others a
class is its value. What was found is said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from segdata.annotations import LabelEncoding, LabelImage
from segdata.errors import OptionError, SourceError
from segdata.formats.class_files import ClassFile, ClassRow
from segdata.formats.mask_folder.census import (
    Census,
    is_lossy,
    sample_of,
    take_census,
)
from segdata.formats.mask_folder.classes import (
    check_ignored,
    fitting_class_file,
    is_of_others,
    likely_class_files,
    mask_label_map,
    recognise_encoding,
    unlabelled,
)
from segdata.label_map import LabelClass, LabelMap, distinct_colors
from segdata.storage.paths import Location

NEAREST = 127
"""The tolerance by which each grey value is black or white, whichever is nearer."""
_MOST_COLORS = 64
_SHOWN = 12
_PROBED = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What the user said of the labels."""

    labels: Literal["auto", "index", "color", "binary"] = "auto"
    tolerance: int = 0
    ignore: str = ""
    unknown: Literal["error", "void"] = "error"
    is_file_named: bool = False
    """Whether the user named the class file."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """How the masks of a dataset are read."""

    label_map: LabelMap
    encoding: LabelEncoding
    tolerance: int = 0
    """Of all masks; 0 for none."""
    lossy_tolerance: int = 0
    """Of masks that are JPEGs."""
    warnings: tuple[str, ...] = ()

    @property
    def is_two_valued(self) -> bool:
        """Whether masks are of nothing and all, without any tolerance."""
        return self.encoding == "binary" and not self.tolerance

    @property
    def told(self) -> str:
        """How masks are read, in short."""
        return f"{self.encoding} labels"

    def read(self, path: str) -> dict[str, LabelImage]:
        """What the annotation of an image says of its mask."""
        tolerance = self.tolerance or (self.lossy_tolerance if is_lossy(path) else 0)
        found: LabelImage = {"path": path, "encoding": self.encoding}
        if tolerance:
            found["tolerance"] = tolerance
        return {"label_image": found}


def choose_labels(
    source: Location,
    masks: Sequence[str],
    classes: ClassFile | None,
    choice: Choice,
    folders: Sequence[str] = (),
) -> Labels:
    """Decides how masks are read; without a class file it reads all of them.

    Args:
      source: The source.
      masks: Paths of the masks below it.
      classes: The class file; None where none of a known name is there.
      choice: What the user said.
      folders: Where files that may be class files are looked for.

    Raises:
      SourceError: If the values of masks can be no classes.
      OptionError: If an option contradicts the class file.
    """
    if choice.labels == "binary":
        return _binary(choice, classes)
    if classes is None:
        return _without_file(source, masks, choice, folders)
    files = [source / path for path in masks]
    encoding: LabelEncoding
    if choice.labels == "auto":
        encoding = recognise_encoding(classes, files)
    else:
        encoding = choice.labels
    if encoding == "color" and not classes.has_colors:
        raise OptionError(
            "--labels color needs colours: expected them in the class file, as in "
            "'0 sky 128 128 128'."
        )
    check_ignored(choice.ignore, classes, encoding, files)
    warnings = []
    if encoding == "index":
        census = take_census(source, sample_of(masks, _PROBED))
        if not choice.is_file_named and is_of_others(classes, census):
            found = _without_file(source, masks, choice, ())
            told = "the class file is passed over: masks hold only 0 and 255"
            return replace(found, warnings=(told, *found.warnings))
        is_free = not classes.has_ids and not classes.has_colors
        is_free = is_free and choice.labels == "auto" and len(classes.rows) == 2
        if is_free and (census.is_black_and_white or census.is_blurred_binary):
            return _binary(choice, classes, "their values are 0 and 255")
        ids = {row.source_id for row in classes.rows}
        warnings += _unknown(census, ids, classes, choice)
    if not choice.tolerance and any(map(is_lossy, masks)):
        warnings.append(
            "masks are JPEGs, whose values are only near those that were drawn: "
            "--tolerance 32 takes the nearest class within so much"
        )
    return Labels(
        label_map=mask_label_map(
            classes,
            ignore=choice.ignore or classes.ignored_value,
            unknown_to_void=choice.unknown == "void",
        ),
        encoding=encoding,
        tolerance=choice.tolerance,
        warnings=tuple(warnings),
    )


def _without_file(
    source: Location, masks: Sequence[str], choice: Choice, folders: Sequence[str]
) -> Labels:
    """By a file whose ids or colours are those of the masks; else by their values."""
    census = take_census(source, masks)
    likely = likely_class_files(source, folders)
    fitting = fitting_class_file(source, likely, census)
    if fitting is not None:
        path, classes = fitting
        known = {row.source_id for row in classes.rows}
        lacking = sorted({0, 255} & census.pixels.keys() - known)
        told = (
            f"the classes are those of {path}, in which all values of the masks stand"
        )
        files = [source / mask for mask in masks]
        is_index = recognise_encoding(classes, files) == "index"
        if lacking and is_index and not choice.ignore:
            if lacking == [255] or lacking == [0, 255]:
                choice = replace(choice, ignore="255")
            if 0 in lacking:
                row = ClassRow(name="class-0", source_id=0)
                classes = replace(classes, rows=(row, *classes.rows))
            told += f" but {' and '.join(map(str, lacking))}"
        found = choose_labels(source, masks, classes, choice)
        return replace(found, warnings=(told, *found.warnings))
    found = _by_census(census, choice)
    if not likely or found.encoding == "binary":
        return found
    hint = f"{' or '.join(likely[:3])} may be a class file: --classes {likely[0]}"
    return replace(found, warnings=(*found.warnings, hint))


def _unknown(
    census: Census, ids: Collection[int], classes: ClassFile, choice: Choice
) -> list[str]:
    """What to write for values that no class has."""
    known = {str(i) for i in ids} | {choice.ignore, classes.ignored_value}
    missing = sorted(value for value in census.pixels if str(value) not in known)
    if not missing or choice.unknown == "void" or choice.tolerance:
        return []
    value = max(missing, key=lambda v: census.pixels[v])
    more = f" and {len(missing) - 1} more" if missing[1:] else ""
    if missing == [255] and (name := unlabelled(classes)):
        return [
            f"masks hold the value 255, and the class file has the class {name!r}: is "
            "that 255? Then its other ids may be one too high, as in COCO-Stuff, and "
            "all names would be shifted. Write a class file of the ids in the masks"
        ]
    line = f"{value} NAME" if classes.has_ids else f"{value} NAME (ids on all lines)"
    return [
        f"masks hold the value {value}{more}, which no class has: write the line "
        f"'{line}' into the class file, or ignore them: --ignore {value} for this "
        "one, --unknown void for all"
    ]


def _binary(choice: Choice, classes: ClassFile | None, why: str = "") -> Labels:
    names = [row.name for row in classes.rows] if classes else []
    if len(names) > 2:
        raise OptionError(
            f"--labels binary has two classes: expected a class file of one or two "
            f"names, or none, got {len(names)}."
        )
    if choice.ignore:
        raise OptionError("--labels binary has no value to ignore: leave out --ignore.")
    if len(names) < 2:
        names = ["background", *(names or ["foreground"])]
    colors = ((0, 0, 0), *distinct_colors(1))
    told = f"masks are of two classes, {names[0]} (zero) and {names[1]} (not zero)"
    return Labels(
        label_map=LabelMap(
            semantic_classes=tuple(
                LabelClass(id=i, name=name, color=color, source_ids=(i,))
                for i, name, color in zip((0, 1), names, colors, strict=True)
            )
        ),
        encoding="binary",
        tolerance=choice.tolerance,
        lossy_tolerance=NEAREST,
        warnings=(f"{told}: {why}",) if why else (),
    )


def _by_census(census: Census, choice: Choice) -> Labels:
    """The classes that the values of all masks are."""
    if not census.pixels:
        raise SourceError(
            "there is no class file, and no mask can be read to tell the classes: "
            "expected classes.txt with one class per line, or --classes."
        )
    if choice.labels == "auto" and census.is_binary:
        return _binary(choice, None, "there is no class file, and no other value")
    if choice.labels == "auto" and census.is_blurred_binary:
        told = f"there is no class file, and the {len(census.pixels)} grey values are "
        return _nearest(
            choice, f"{told}near 0 and 255; each counts as the nearer of both"
        )
    if choice.labels == "auto" and census.numbers_objects:
        raise SourceError(
            "there is no class file, and each mask counts from 1 without a gap, up to "
            f"{max(filter(None, census.highest))}: so do numbers of objects. Say "
            "--instances NAME if they are objects of the class NAME, or --labels index "
            "if each value is a class."
        )
    is_color = census.encoding == "color"
    if choice.labels not in ("auto", census.encoding):
        raise OptionError(
            f"--labels is {choice.labels}, and the masks hold "
            f"{'colours' if is_color else 'no colours'}: expected {census.encoding}."
        )
    return _by_value(census, choice)


def _nearest(choice: Choice, why: str) -> Labels:
    found = _binary(choice, None, why)
    return Labels(
        label_map=found.label_map,
        encoding="binary",
        tolerance=choice.tolerance or NEAREST,
        warnings=found.warnings,
    )


def _by_value(census: Census, choice: Choice) -> Labels:
    is_color = census.encoding == "color"
    values, most = sorted(census.pixels), _MOST_COLORS if is_color else 255
    if len(values) > most:
        raise SourceError(
            f"there is no class file, and the masks hold {len(values)} different "
            f"{'colours' if is_color else 'values'}: too many for classes. Are these "
            "the masks? --mask-folder and --mask-suffix name them. Do they number "
            "objects? --instances NAME. Else name the classes in classes.txt."
        )
    rows = tuple(_row(value, is_color) for value in values)
    pixels = census.pixels.total()
    shown = ", ".join(
        f"{row.name} ({100 * census.pixels[value] / pixels:.1f} %)"
        for value, row in zip(values[:_SHOWN], rows, strict=False)
    )
    lines = ", ".join(
        f"'{' '.join(['NAME', *map(str, row.color)])}'"
        if row.color
        else f"'{row.source_id} NAME'"
        for row in rows[:_SHOWN]
    )
    more = f" and {len(rows) - _SHOWN} more" if rows[_SHOWN:] else ""
    hint = ""
    if 255 in values and 254 not in values and not is_color and not choice.ignore:
        hint = ". If 255 is no class but to be ignored: --ignore 255"
    return Labels(
        label_map=mask_label_map(
            ClassFile(rows=rows, has_ids=not is_color),
            ignore=choice.ignore,
            unknown_to_void=choice.unknown == "void",
        ),
        encoding=census.encoding,
        tolerance=choice.tolerance,
        warnings=(
            "THE CLASSES HAVE NO NAMES: there is no class file, so each "
            f"{'colour' if is_color else 'value'} of the masks is a class: {shown}"
            f"{more}. To name them write classes.txt of the lines {lines}{more}{hint}",
        ),
    )


def _row(value: int, is_color: bool) -> ClassRow:
    if not is_color:
        return ClassRow(name=f"class-{value}", source_id=value)
    color = (value >> 16, value >> 8 & 255, value & 255)
    return ClassRow(
        name="color-" + "-".join(map(str, color)), source_id=value, color=color
    )
