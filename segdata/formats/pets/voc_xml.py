"""Boxes from annotation files in the form of Pascal VOC.

    <annotation><size><width>500</width>...</size>
      <object><name>cat</name><pose>Frontal</pose>...
        <bndbox><xmin>333</xmin><ymin>72</ymin><xmax>425</xmax><ymax>158</ymax></bndbox>
      </object>...</annotation>

VOC counts pixels from 1 and both ends belong to the box (its development kit's
documentation): `xmin = 1, xmax = width` is a box over the whole width. In the
Oxford-IIIT Pets no number is 0, many are 1 and some are the width or height, so they
are meant so too. Here boxes are `x, y, width, height` with 0 at the image's border:
`xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1`. The file's own numbers stay
beside them.

The files come from strangers: no document type, so no entities, is accepted; size and
depth are limited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from segdata.errors import AnnotationError, short_repr
from segdata.storage.paths import Location, locate

_MAX_BYTES = 1 << 20  # real ones have a kilobyte or two
_MAX_DEPTH = 16
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{1,20})?", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9]\d{0,14}", re.ASCII)
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, kw_only=True, slots=True)
class VocBox:
    """One object of a file."""

    bbox: list[float]
    """`[x, y, width, height]` in pixels, 0 at the image's border."""
    source: dict[str, Any]
    """The object as the file says it, numbers included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VocFile:
    """What a file says of its image."""

    size: tuple[int, int] | None
    """Height and width in pixels; None where it gives none."""
    boxes: tuple[VocBox, ...]
    """Its objects, in the file's order, without those of `problems`."""
    source: dict[str, Any]
    """Everything but the objects, as the file says it."""
    problems: tuple[AnnotationError, ...]
    """Objects whose box is none."""


def read_voc(root: Location, relative: str) -> VocFile:
    """Reads one file.

    Args:
      root: Folder of the source.
      relative: Location below it.

    Raises:
      AnnotationError: If it cannot be read, is no XML, has a document type, or is too
        large or nested too deep.
    """
    top = _parse(_read(root, relative), relative)
    if _depth_exceeds(top, _MAX_DEPTH):
        raise _bad(relative, f"it is nested deeper than {_MAX_DEPTH}")
    if top.tag != "annotation":
        raise _bad(
            relative, f"expected <annotation>, got <{short_repr(top.tag)[1:-1]}>"
        )
    boxes, problems = [], []
    for number, item in enumerate(top.findall("object"), 1):
        try:
            boxes.append(
                VocBox(bbox=_bbox(item, number, relative), source=_value(item))
            )
        except AnnotationError as error:
            problems.append(error)
    top[:] = [child for child in top if child.tag != "object"]
    source = _value(top)
    return VocFile(
        size=_size(source),
        boxes=tuple(boxes),
        source=source if isinstance(source, dict) else {},
        problems=tuple(problems),
    )


def _read(root: Location, relative: str) -> bytes:
    try:
        data = locate(root).inside(relative).read_start(_MAX_BYTES + 1)
    except OSError as error:
        raise _bad(relative, f"it cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise _bad(relative, f"it has more than {_MAX_BYTES} bytes")
    return data


def _parse(data: bytes, relative: str) -> Element:
    try:
        parsed: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise _bad(relative, "it declares a document type or entities") from error
    except (ParseError, ValueError, LookupError) as error:  # the last: its encoding
        raise _bad(relative, f"it is no XML: {error}") from error
    return parsed


def _depth_exceeds(top: Element, limit: int) -> bool:
    level = [top]
    for _ in range(limit):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True


def _value(element: Element) -> Any:
    """An element as JSON holds it: by tag, a list where one stands several times."""
    if not len(element):
        text = (element.text or "").strip()
        return int(text) if _INTEGER.fullmatch(text) else text
    found: dict[str, Any] = {}
    for child in element:
        value = _value(child)
        if child.tag not in found:
            found[child.tag] = value
        elif isinstance(found[child.tag], list):
            found[child.tag].append(value)
        else:
            found[child.tag] = [found[child.tag], value]
    return found


def _size(source: Any) -> tuple[int, int] | None:
    size = source.get("size") if isinstance(source, dict) else None
    if not isinstance(size, dict):
        return None
    height, width = size.get("height"), size.get("width")
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return None  # labelling tools write 0 where they do not know


def _bbox(item: Element, number: int, relative: str) -> list[float]:
    texts = [(item.findtext(f"bndbox/{side}") or "").strip() for side in _SIDES]
    if not all(map(_NUMBER.fullmatch, texts)):
        given = dict(zip(_SIDES, texts, strict=True))
        raise AnnotationError(
            f"object {number} of {relative!r} has the box {short_repr(given)}: "
            "expected a number each.",
            reason="bad-head-box",
        )
    xmin, ymin, xmax, ymax = (float(text) for text in texts)
    if xmax < xmin or ymax < ymin:
        raise AnnotationError(
            f"object {number} of {relative!r} has a box from ({texts[0]}, {texts[1]}) "
            f"to ({texts[2]}, {texts[3]}): expected xmin <= xmax and ymin <= ymax.",
            reason="bad-head-box",
        )
    return [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1]


def _bad(relative: str, what: str) -> AnnotationError:
    return AnnotationError(
        f"annotation file {relative!r} cannot be used: {what}. Replace or remove it.",
        reason="bad-xml",
    )
