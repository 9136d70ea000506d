"""Reading CVAT's XML image by image, from strangers: no document type, no entities."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from segdata.errors import SourceError
from segdata.formats.cvat.shapes import SHAPES, read_shapes
from segdata.storage.paths import Location

_MAX_DEPTH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class CvatImage:
    """One `<image>`."""

    file: str
    """Path of the XML."""
    name: str
    """Path of the image, as the task has it."""
    subset: str
    """Its subset; empty where it is in none."""
    id: str
    """Its id in the task."""
    part: dict[str, Any]
    """What it adds to the annotation dict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CvatFile:
    """One XML."""

    images: list[CvatImage] = field(default_factory=list)
    """Its images."""
    labels: dict[str, str] = field(default_factory=dict)
    """Name of each label -> its colour, as text; in the order of `<labels>`, then those
    that only shapes have."""


def read_cvat(source: Location, path: str) -> CvatFile:
    """Reads one XML.

    Raises:
      SourceError: If it cannot be read, is no XML of an image task, has a document
        type or entities, or is nested too deep.
    """
    found = CvatFile()
    try:
        data = source.inside(path).read_bytes()
        for element in _elements(data, path):
            if element.tag == "label" and element.find("parent") is None:
                name = element.findtext("name") or ""
                color = (element.findtext("color") or "").strip()
                found.labels.setdefault(name.strip(), color)
            elif element.tag == "image":
                for shape in element:
                    if shape.tag in SHAPES and shape.get("label"):
                        found.labels.setdefault(str(shape.get("label")), "")
                found.images.append(_image(element, path))
                element.clear()
            elif element.tag == "track":
                raise SourceError(
                    f"{path} is of a video: export 'CVAT for images 1.1' in its place.",
                    reason="bad-xml",
                )
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    except DefusedXmlException as error:
        raise SourceError(
            f"{path} declares a document type or entities: remove them.",
            reason="bad-xml",
        ) from error
    except (ParseError, ValueError, LookupError) as error:  # the last: its encoding
        raise SourceError(f"{path} is no XML: {error}.", reason="bad-xml") from error
    found.labels.pop("", None)
    return found


def _elements(data: bytes, path: str) -> Iterator[Element]:
    """Each `<label>` of the head, `<image>` and `<track>`."""
    depth = 0
    events = iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True)
    for event, element in events:
        depth += 1 if event == "start" else -1
        if event == "start" and depth == 1 and element.tag != "annotations":
            raise SourceError(
                f"{path} is no XML of CVAT: expected <annotations>, got <"
                f"{element.tag[:40]}>.",
                reason="bad-xml",
            )
        if depth > _MAX_DEPTH:
            raise SourceError(
                f"{path} is nested deeper than {_MAX_DEPTH}.", reason="bad-xml"
            )
        if event == "end" and (
            (element.tag in ("image", "track") and depth == 1) or element.tag == "label"
        ):
            yield element


def _image(element: Element, path: str) -> CvatImage:
    sides = {}
    for side in ("height", "width"):
        text = element.get(side) or ""
        if text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text):
            sides[side] = int(text)
    part = read_shapes(element, sides.get("height"), sides.get("width"))
    return CvatImage(
        file=path,
        name=element.get("name") or "",
        subset=element.get("subset") or "",
        id=element.get("id") or "",
        part={**sides, **part},
    )
