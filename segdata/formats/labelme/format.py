"""labelme: a JSON for each image, beside it or in another folder.

    a.jpg  a.json        or  images/a.jpg  labels/a.json
    train/ val/ test/    such folders make splits

Classes are all labels that stand in the files, sorted by name, or those of a class
file: `labels.txt` in the source, or `--classes`. What a JSON says of its image is read
where records are encoded: `segdata.formats.labelme.reader`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.class_files import read_class_file
from segdata.formats.folders import list_folder, split_of
from segdata.formats.json_files import beginnings, read_each
from segdata.formats.labelme.census import (
    Heads,
    by_image_path,
    labels_of,
    of_another,
)
from segdata.formats.labelme.reader import UNLABELLED, Head, read_head
from segdata.formats.object_label_map import (
    SEMANTIC_HELP,
    object_label_map,
    told_classes,
)
from segdata.formats.partners import find_partners, left_out
from segdata.label_map import LabelMap
from segdata.storage.paths import Location, locate

_CLASS_FILE = "labels.txt"
_MARK = re.compile(rb'"shapes"\s*:\s*\[')


@dataclass(frozen=True, kw_only=True)
class Labelme:
    """Options of `segdata build labelme`."""

    name: ClassVar[str] = "labelme"
    summary: ClassVar[str] = "labelme's JSON files, one for each image."

    classes: str = field(
        default="",
        metadata={
            "help": "Class file, in SOURCE or as a path. [default: labels.txt in "
            "SOURCE, else all labels of the files, sorted by name]"
        },
    )
    semantic: bool = field(default=False, metadata={"help": SEMANTIC_HELP})

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        found = any(_MARK.search(head) for head in beginnings(folder, ".json"))
        return (
            Guess(title="JSON files of labelme, one for each image") if found else None
        )

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listing = list_folder(source, "", recursive=True)
        images = listing.images
        files = [path for path in listing.others if path.lower().endswith(".json")]
        class_file = self._class_file(source)
        heads = {} if class_file else _census(source, files)
        partners = find_partners((f for f in files if _may_be(f, heads)), images)
        if class_file:  # only those are read that their names do not place
            heads = _census(source, partners.lonely_files)
        others = {path for path in files if not _may_be(path, heads)}
        if len(others) == len(files):
            raise SourceError(
                f"{source} has no JSON of labelme: expected one for each image, with "
                f"'shapes' and 'imagePath'; got {len(others)} other JSON files."
            )
        lonely = [path for path in partners.lonely_files if path not in others]
        found, notices, problems = by_image_path(lonely, heads, partners)
        pairs = {**partners.images, **found}
        unused = sorted(set(partners.lonely_images) - set(found.values()))
        splits = {path: split_of(path) or split_of(pairs[path]) for path in pairs}
        shown = ", ".join(sorted({s for s in splits.values() if s})) or "no split"
        warnings = [
            *left_out([*others], "other JSON left out", "other JSONs left out"),
            *left_out(
                unused, "image without JSON left out", "images without JSON left out"
            ),
            *notices,
            *of_another(pairs, heads),
        ]
        if class_file is None:
            warnings.append(told_classes(labels_of(heads), "the files"))
        return Scan(
            label_map=self._label_map(class_file, heads),
            annotations=(
                self._annotation(p, pairs[p], splits[p]) for p in sorted(pairs)
            ),
            layout=f"{len(pairs)} JSON files of labelme with their images ({shown})",
            warnings=tuple(warnings),
            problems=(*partners.problems, *problems),
        )

    def _annotation(self, path: str, image: str, split: str | None) -> Annotation:
        annotation: Annotation = {
            "image": image,
            "annotation_file": {"path": path, "reader": self.name},
        }
        if split is not None:
            annotation["split"] = split
        if self.semantic:
            annotation["paint_label_map"] = True
        return annotation

    def _class_file(self, source: Location) -> Location | None:
        inside = source / (self.classes or _CLASS_FILE)
        if inside.is_file():
            return inside
        return locate(self.classes) if self.classes else None

    def _label_map(self, class_file: Location | None, heads: Heads) -> LabelMap:
        names = labels_of(heads)
        if class_file is not None:
            names = [row.name for row in read_class_file(class_file).rows]
        names = [name for name in names if name not in UNLABELLED]
        classes = [(number, name, None) for number, name in enumerate(names, 1)]
        if not classes:
            raise SourceError("the files of labelme have no label: expected a class.")
        return object_label_map(classes, is_painted=self.semantic)


def _census(source: Location, files: Sequence[str]) -> Heads:
    return dict(zip(files, read_each(source, files, read_head), strict=True))


def _may_be(path: str, heads: Heads) -> bool:
    """False for a JSON that is known to be another tool's."""
    head = heads.get(path)
    return not isinstance(head, Head) or head.is_labelme
