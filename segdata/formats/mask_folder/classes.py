"""The classes of a mask folder: from its class file, and how masks spell them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from PIL import Image

from segdata.annotations import LabelEncoding
from segdata.errors import OptionError, SegdataError, SourceError
from segdata.formats.class_files import ClassFile, ClassRow, read_class_file
from segdata.formats.mask_folder.census import Census
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelClass, LabelMap, distinct_colors
from segdata.storage.paths import Location, locate

CLASS_FILES = (
    *("classes.txt", "classes.csv", "class_dict.csv", "label_colors.txt"),
    *("labelmap.txt", "_classes.csv", "labels.txt", "class_names.txt", "codes.txt"),
    *("classes.json", "id2label.json"),
)
"""Names of class files that are looked for, the first that is there counts."""
_LIKELY = re.compile(
    r".*(class|label|colou?r|legend|categor|names|info|dict|config|palette|meta).*"
    r"\.(txt|csv|tsv|json)",
    re.IGNORECASE,
)
_MOST_LIKELY = 16
_UNLABELLED = {"unlabeled", "unlabelled", "void", "ignore", "ignored"}
_PROBED_MASKS = 16
_WIDE_MODES = ("I", "F")  # of more than 8 bits a sample
_MAX_CLASSES = OUTSIDE_IGNORE_ID  # ids 0 to 254: 255 stays free for what is ignored


def find_class_file(
    source: Location, named: str, folders: Sequence[str]
) -> ClassFile | None:
    """Reads the class file; None where there is none.

    Args:
      source: The source.
      named: The file that the user named, in the source or as a path; or empty.
      folders: Folders of images and masks, in and above which it may lie too, once or
        the same in each, as Roboflow writes it.

    Raises:
      SourceError: If it cannot be read, or two of them differ.
    """
    if named:
        inside = source / named
        return read_class_file(inside if inside.is_file() else locate(named))
    for places in ([""], [folder for folder in folders if folder]):
        there = {
            f"{place}/{entry.name}".lstrip("/").casefold(): f"{place}/{entry.name}"
            for place in places
            for entry in (source / place).entries()
            if entry.name.casefold() in CLASS_FILES
        }
        for name in CLASS_FILES:
            keys = [f"{p}/{name}".lstrip("/").casefold() for p in places]
            paths = [there[key].lstrip("/") for key in keys if key in there]
            found = [read_class_file(source / path) for path in paths]
            for path, other in zip(paths, found, strict=True):
                if other != found[0]:
                    raise SourceError(
                        f"{paths[0]} and {path} differ: expected the same classes. "
                        "Name the one that counts with --classes."
                    )
            if found:
                return found[0]
    return None


def likely_class_files(source: Location, folders: Sequence[str]) -> list[str]:
    """Files of other names, in the source or its folders, that may be class files."""
    return [
        f"{folder}/{entry.name}".lstrip("/")
        for folder in dict.fromkeys(["", *folders])
        for entry in (source / folder).entries()
        if not entry.is_dir and _LIKELY.fullmatch(entry.name)
    ][:_MOST_LIKELY]


def fitting_class_file(
    source: Location, paths: Sequence[str], census: Census
) -> tuple[str, ClassFile] | None:
    """The one of several files that names what the masks hold; None if several do.

    Only ids or colours show that a file is of these masks: each value or colour of
    the masks stands in it, but for 0 and 255, which many files leave out.
    """
    fitting = []
    for path in paths:
        try:
            found = read_class_file(source / path)
        except SegdataError:
            continue
        if _fits(found, census):
            fitting.append((path, found))
    is_one = fitting and all(found == fitting[0][1] for _, found in fitting)
    return fitting[0] if is_one else None


def _fits(classes: ClassFile, census: Census) -> bool:
    colors = {row.color for row in classes.rows if row.color is not None}
    values = set(census.pixels)
    if census.encoding == "color":
        return values <= {r << 16 | g << 8 | b for r, g, b in colors}
    if colors and values <= {r for r, g, b in colors if r == g == b}:
        return True
    inner = values - {0, 255}
    is_told = classes.has_ids or classes.has_colors
    return is_told and bool(inner) and inner <= {row.source_id for row in classes.rows}


def unlabelled(classes: ClassFile) -> str:
    """The class of what is not labelled; empty if there is none."""
    names = (row.name for row in classes.rows)
    return next((name for name in names if name.casefold() in _UNLABELLED), "")


def is_of_others(classes: ClassFile, census: Census) -> bool:
    """Whether the masks are of nothing and all, and the file names other values.

    Such a file names something else, such as the species of birds in photos.
    """
    ids = {row.source_id for row in classes.rows}
    is_other = len(ids) > 2 if 0 in ids else classes.has_ids
    is_other = is_other and 255 not in ids and not classes.has_colors
    return census.is_black_and_white and is_other


def leaves_out_255(
    classes: ClassFile, census: Census, masks: Sequence[Location]
) -> bool:
    """Whether masks hold 255, which is no class, beside ids of the class file.

    Not where the file itself has a class of what is not labelled: then its ids may be
    those of the masks but for one, as in COCO-Stuff.
    """
    values, ids = census.pixels.keys(), {row.source_id for row in classes.rows}
    is_void = 255 in values and bool(values - {0, 255}) and values - {255} <= ids
    is_void = is_void and not unlabelled(classes) and 255 not in ids
    return is_void and recognise_encoding(classes, masks) == "index"


def mask_label_map(
    classes: ClassFile, *, ignore: str, unknown_to_void: bool
) -> LabelMap:
    """The semantic classes, ids 0 to n-1 in the order of the source's ids.

    Args:
      classes: What the class file says.
      ignore: Name or id of the class whose pixels get the id 255, which losses and
        metrics skip; or an id that is no class; empty for none.
      unknown_to_void: Whether labels that are no class get 255 too, or are refused.

    Raises:
      OptionError: If `ignore` is neither a class nor an id.
      SourceError: If there are more classes than a label map holds.
    """
    ignored = _ignored_row(classes, ignore)
    kept = sorted(
        (row for row in classes.rows if row is not ignored),
        key=lambda row: row.source_id,
    )
    if len(kept) > _MAX_CLASSES:
        raise SourceError(
            f"the class file has {len(kept)} classes: label maps hold at most "
            f"{_MAX_CLASSES}. Group some of them."
        )
    if not kept:
        raise SourceError("the class file names nothing but what is ignored.")
    rows = [*kept] if ignored is None else [*kept, ignored]
    ids = [*range(len(kept)), OUTSIDE_IGNORE_ID]
    return LabelMap(
        semantic_classes=tuple(
            LabelClass(
                id=class_id,
                name=row.name,
                color=row.color or drawn,
                source_ids=(row.source_id,),
                source_colors=() if row.color is None else (row.color,),
            )
            for class_id, row, drawn in zip(
                ids, rows, distinct_colors(len(rows)), strict=False
            )
        ),
        ignore_id=OUTSIDE_IGNORE_ID if ignored is not None or unknown_to_void else None,
        unknown_id=OUTSIDE_IGNORE_ID if unknown_to_void else None,
    )


def recognise_encoding(classes: ClassFile, masks: Sequence[Location]) -> LabelEncoding:
    """How masks spell classes, by the headers of a few of them; no pixels are read.

    Colours, where the class file has them and the masks are RGB; where it has no ids,
    also for palettes that hold every class's colour and for grey masks of grey classes.
    """
    if not classes.has_colors:
        return "index"
    step = max(1, len(masks) // _PROBED_MASKS)
    colors = {row.color for row in classes.rows if row.color is not None}
    is_grey = all(red == green == blue for red, green, blue in colors)
    for mode, palette in map(_header, masks[::step]):
        if mode in ("RGB", "RGBA"):
            return "color"
        if mode and not classes.has_ids:
            known = set(zip(palette[::3], palette[1::3], palette[2::3], strict=False))
            if is_grey if mode in ("1", "L") else colors <= known:
                return "color"
    return "index"


def check_ignored(
    ignore: str, classes: ClassFile, encoding: LabelEncoding, masks: Sequence[Location]
) -> None:
    """Refuses an id to ignore that no pixel of the masks can have.

    Raises:
      OptionError: If it is one. An id above 255 costs a look at the headers of masks.
    """
    if not ignore.isdecimal() or _row_of(ignore, classes) is not None:
        return
    if encoding == "color":
        raise OptionError(
            f"--ignore is {ignore}, and pixels have colours, not ids: expected the "
            "name of a class of the class file."
        )
    highest = 255
    if int(ignore) > highest and any(
        mode.startswith(_WIDE_MODES) for mode, _ in map(_header, masks)
    ):
        highest = 65535
    if int(ignore) > highest:
        raise OptionError(
            f"--ignore is {ignore}: expected a class, or an id that a mask can hold, "
            f"0 to {highest}."
        )


def _header(path: Location) -> tuple[str, Sequence[int]]:
    """Pillow's mode of a mask, and its palette; empty where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # over its size: the worker refuses it
            with path.open("rb") as file, Image.open(file) as image:
                return image.mode, image.getpalette("RGB") or []
    except Exception:  # damaged: the worker that reads it says so
        return "", []


def _row_of(ignore: str, classes: ClassFile) -> ClassRow | None:
    for row in classes.rows:
        if ignore in (row.name, str(row.source_id)):
            return row
    return None


def _ignored_row(classes: ClassFile, ignore: str) -> ClassRow | None:
    """The class that `ignore` names; one of its own for an id that is none."""
    if not ignore:
        return None
    if (named := _row_of(ignore, classes)) is not None:
        return named
    if not (ignore.isascii() and ignore.isdecimal() and len(ignore) < 10):
        known = ", ".join(row.name for row in classes.rows[:20])
        raise OptionError(
            f"--ignore is {ignore!r}: expected a class ({known}) or an id, such as 255."
        )
    names = {row.name for row in classes.rows}
    name = next(n for n in ("void", "ignored", f"ignored {ignore}") if n not in names)
    return ClassRow(name=name, source_id=int(ignore))
