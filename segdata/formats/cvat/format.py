"""CVAT's XML 1.1 of image tasks ("CVAT for images 1.1").

    annotations.xml  images/...      as the export is unpacked

Several XMLs, in SOURCE or in folders, are one data set. Splits are the subsets of the
images, else the folders of the XMLs. Images are found by their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.cvat.shapes import colors_of
from segdata.formats.cvat.xml import CvatFile, CvatImage, read_cvat
from segdata.formats.folders import list_folder, split_of
from segdata.formats.found_images import find_images
from segdata.formats.json_files import beginnings
from segdata.formats.object_label_map import SEMANTIC_HELP, object_label_map
from segdata.formats.partners import left_out, one_for_each_image
from segdata.label_map import LabelMap
from segdata.storage.paths import Location

_ROOT = b"<annotations>"
_HEAD_BYTES = 4096
_NO_SUBSET = "default"  # as CVAT calls it in exports of projects


@dataclass(frozen=True, kw_only=True)
class Cvat:
    """Options of `segdata build cvat`."""

    name: ClassVar[str] = "cvat"
    summary: ClassVar[str] = "CVAT's XML of image tasks: polygons, boxes, masks."

    annotations: str = field(
        default="",
        metadata={
            "help": "XML file below SOURCE. [default: all of CVAT in SOURCE and its "
            "folders]"
        },
    )
    images: str = field(
        default="images",
        metadata={"help": "Folder of the images below SOURCE, looked at first."},
    )
    semantic: bool = field(default=False, metadata={"help": SEMANTIC_HELP})

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        heads = [head for head in beginnings(folder, ".xml") if _ROOT in head]
        if not heads:
            return None
        is_video = any(b"<mode>interpolation" in head for head in heads)
        more = ", of a video: export it as 'CVAT for images 1.1'" if is_video else ""
        return Guess(title=f"CVAT's XML 1.1{more}")

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listing = list_folder(source, "", recursive=True)
        images = listing.images
        paths = (
            [self.annotations]
            if self.annotations
            else _xml_files(source, listing.others)
        )
        if not paths:
            raise SourceError(
                f"{source} has no XML of CVAT: expected annotations.xml, exported as "
                "'CVAT for images 1.1'. Name it with --annotations."
            )
        files = [read_cvat(source, path) for path in paths]
        entries = [entry for file in files for entry in file.images]
        known = set(images)
        names = {id(entry): self._place(entry, known) for entry in entries}
        found = find_images(names.values(), images)
        entries, problems = one_for_each_image(
            [e for e in entries if names[id(e)] not in found.ambiguous],
            lambda entry: found.paths.get(names[id(entry)], names[id(entry)]),
            lambda entry: f"<image> {entry.id} of {entry.file}",
        )
        unused = sorted(set(images) - set(found.paths.values()))
        return Scan(
            label_map=self._label_map(files),
            annotations=(
                self._annotation(
                    entry, found.paths.get(names[id(entry)], names[id(entry)])
                )
                for entry in entries
            ),
            layout=f"{', '.join(paths[:4])}, {len(entries)} images",
            warnings=(
                *found.warnings,
                *left_out(
                    unused,
                    "image that no XML names left out",
                    "images that no XML names left out",
                ),
            ),
            problems=(*found.problems, *problems),
        )

    def _place(self, entry: CvatImage, known: set[str]) -> str:
        """Where an image usually is; else where it would be."""
        folder = entry.file.rpartition("/")[0]
        beside = [f"{folder}/{self.images}", folder] if folder else []
        for place in (*beside, self.images, ""):
            for inner in (f"{entry.subset}/{entry.name}", entry.name):
                path = f"{place}/{inner}".strip("/")
                if path in known:
                    return path
        return f"{self.images}/{entry.subset}/{entry.name}".replace("//", "/")

    def _annotation(self, entry: CvatImage, image: str) -> Annotation:
        part = {**entry.part, "source": {"cvat_id": entry.id, **entry.part["source"]}}
        annotation: Annotation = {"image": image, **part}  # type: ignore[typeddict-item]
        subset = "" if entry.subset.lower() == _NO_SUBSET else entry.subset
        split = re.sub(r"\W", "_", subset, flags=re.ASCII) or split_of(entry.file)
        if split:
            annotation["split"] = split
        if self.semantic:
            annotation["paint_label_map"] = True
        return annotation

    def _label_map(self, files: Sequence[CvatFile]) -> LabelMap:
        labels: dict[str, str] = {}
        for file in files:
            for name, color in file.labels.items():
                labels[name] = labels.get(name) or color
        if not labels:
            raise SourceError("the XML of CVAT has no label: expected a class.")
        colors = colors_of(labels)
        return object_label_map(
            ((n, name, colors[name]) for n, name in enumerate(labels, 1)),
            is_painted=self.semantic,
        )


def _xml_files(source: Location, files: Sequence[str]) -> list[str]:
    """Those that are CVAT's by their beginning."""
    paths = sorted(path for path in files if path.lower().endswith(".xml"))
    heads = source.each(lambda path: _head(source / path), paths)
    return [path for path, head in zip(paths, heads, strict=True) if _ROOT in head]


def _head(path: Location) -> bytes:
    try:
        return path.read_start(_HEAD_BYTES)
    except OSError:
        return b""
