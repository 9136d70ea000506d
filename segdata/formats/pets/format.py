"""The Oxford-IIIT Pets (Parkhi, Vedaldi, Zisserman, Jawahar, CVPR 2012).

    images/Abyssinian_1.jpg ...
    annotations/trainval.txt test.txt list.txt
    annotations/trimaps/Abyssinian_1.png ...    1 pet, 2 background, 3 outline
    annotations/xmls/Abyssinian_1.xml ...       the head, of most images of trainval

A record holds the trimap as its label map; the pet as an object whose mask is the
trimap's 1 (the outline is not pet) and whose class is the breed; the breed as the class
of the image; and the heads as regions, whose pixels `formats.pets.voc_xml` explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from segdata.annotations import Annotation, Region
from segdata.errors import AnnotationError, SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.folders import Listing, count_of, list_folder
from segdata.formats.pets.lists import BreedTable, ListedImage, read_list
from segdata.formats.pets.voc_xml import VocFile, read_voc
from segdata.images.header import png_size
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelClass, LabelMap
from segdata.storage.paths import Location

_IMAGES, _TRIMAPS, _XMLS = "images", "annotations/trimaps", "annotations/xmls"
_SPLITS = ("trainval", "test")
_ALL_IMAGES = "list"
_PET_VALUE = 1
_HEAD = "head"


@dataclass(frozen=True, kw_only=True)
class Pets:
    """Options of `segdata build pets`."""

    name: ClassVar[str] = "pets"
    summary: ClassVar[str] = "Oxford-IIIT Pets: trimaps, breeds, pets and their heads."

    outline: Literal["class", "ignore"] = field(
        default="class",
        metadata={
            "help": "The trimap's outline: a class of its own, or ignored (255) by "
            "losses and metrics."
        },
    )

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        lists = [n for n in (*_SPLITS, _ALL_IMAGES) if _is_list(folder, n)]
        if not lists or not all((folder / f).is_dir() for f in (_IMAGES, _TRIMAPS)):
            return None
        return Guess(title=f"Oxford-IIIT Pets, {', '.join(f'{n}.txt' for n in lists)}")

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        breeds = BreedTable()
        lists, problems = _read_lists(source, breeds)
        found = _Folders(source)
        annotations: list[Annotation] = []
        for name, entries in lists.items():
            split = name if name in _SPLITS else None
            annotations += found.annotations(entries, split)
        warnings = [*found.warnings(lists)]
        if _ALL_IMAGES not in lists:
            warnings += _listed_in_vain(source, lists, breeds, problems)
        semantic = self._semantic_classes()
        return Scan(
            label_map=LabelMap(
                object_classes=breeds.classes({item.name for item in semantic}),
                semantic_classes=semantic,
                ignore_id=OUTSIDE_IGNORE_ID if self.outline == "ignore" else None,
            ),
            annotations=annotations,
            layout=f"{', '.join(f'{name}.txt' for name in lists)}, "
            f"{count_of(breeds.names, 'breed', 'breeds')}",
            warnings=tuple(warnings),
            problems=(*problems, *found.problems),
        )

    def _semantic_classes(self) -> tuple[LabelClass, ...]:
        outline_id = 2 if self.outline == "class" else OUTSIDE_IGNORE_ID
        return tuple(
            LabelClass(id=class_id, name=name, color=color, source_ids=(value,))
            for class_id, name, color, value in (
                (0, "pet", (230, 120, 40), _PET_VALUE),
                (1, "background", (40, 40, 60), 2),
                (outline_id, "outline", (250, 240, 200), 3),
            )
        )


def _is_list(source: Location, name: str) -> bool:
    return (source / "annotations" / f"{name}.txt").is_file()


def _read_lists(
    source: Location, breeds: BreedTable
) -> tuple[dict[str, list[ListedImage]], list[AnnotationError]]:
    """The lists of the splits that are there; without any, the list of all images."""
    folder = source / "annotations"
    names = [name for name in _SPLITS if (folder / f"{name}.txt").is_file()]
    if not names and (folder / f"{_ALL_IMAGES}.txt").is_file():
        names = [_ALL_IMAGES]
    if not names or not (source / _IMAGES).is_dir():
        raise SourceError(
            f"no Oxford-IIIT Pets are found in {source}: expected {_IMAGES}/ and "
            "annotations/ with trainval.txt, test.txt or list.txt, trimaps/ and xmls/."
        )
    lists: dict[str, list[ListedImage]] = {}
    problems: list[AnnotationError] = []
    for name in names:
        earlier = {e.name: f"{other}.txt" for other in lists for e in lists[other]}
        lists[name], bad = read_list(folder / f"{name}.txt", breeds, earlier)
        problems += bad
    return lists, problems


def _listed_in_vain(
    source: Location,
    lists: dict[str, list[ListedImage]],
    breeds: BreedTable,
    problems: list[AnnotationError],
) -> Iterator[str]:
    """A warning of images that the list of all names and no split has."""
    path = source / "annotations" / f"{_ALL_IMAGES}.txt"
    if not path.is_file():
        return
    entries, bad = read_list(path, breeds, {})
    problems += bad
    used = {entry.name for split in lists.values() for entry in split}
    unused = sorted(entry.name for entry in entries if entry.name not in used)
    if unused:
        yield (
            f"left out {count_of(unused, 'image', 'images')} of {path.name} that no "
            f"split has, e.g. {unused[0]}"
        )


class _Folders:
    """What lies in the folders, and which of it the lists name."""

    def __init__(self, source: Location) -> None:
        self._source = source
        self._listings = {
            _IMAGES: list_folder(source, _IMAGES),
            _TRIMAPS: self._list(_TRIMAPS, ".png"),
            _XMLS: self._list(_XMLS, ".xml"),
        }
        self._files = {
            folder: listing.unique() for folder, listing in self._listings.items()
        }
        self._without_xml: dict[str, list[str]] = {}
        self._of_another: list[str] = []
        self.problems: list[AnnotationError] = []
        """XML files and heads that cannot be used."""

    def annotations(
        self, entries: list[ListedImage], split: str | None
    ) -> Iterator[Annotation]:
        """One dict per line of a list; files that miss show up as missing."""
        for entry in entries:
            trimap = f"{_TRIMAPS}/{entry.name}.png"
            annotation: Annotation = {
                "key": entry.name,
                "image": self._files[_IMAGES].get(
                    entry.name, f"{_IMAGES}/{entry.name}.jpg"
                ),
                "label_image": {"path": trimap, "encoding": "index"},
                "mask_image": {"path": trimap, "encoding": "index"},
                "objects": [{"category_id": entry.class_id, "mask_value": _PET_VALUE}],
                "image_class": entry.class_id,
                "regions": [],
                "source": {
                    "class_id": entry.class_id,
                    "species": entry.species,
                    "breed_id": entry.breed_id,
                },
            }
            if split is not None:
                annotation["split"] = split
            if entry.name in self._files[_XMLS]:
                self._add_heads(annotation, entry.name)
            else:
                self._without_xml.setdefault(split or _ALL_IMAGES, []).append(
                    entry.name
                )
            yield annotation

    def warnings(self, lists: dict[str, list[ListedImage]]) -> Iterator[str]:
        """What a person should know, once `annotations` of all lists are read."""
        for name, entries in lists.items():
            missing = self._without_xml.get(name, [])
            if 0 < len(missing) < len(entries):
                yield (
                    f"{len(missing)} of {len(entries)} images of {name}.txt have no "
                    f"XML and so no head, e.g. {min(missing)}"
                )
        if self._of_another:
            yield (
                f"{count_of(self._of_another, 'XML names', 'XMLs name')} another image "
                f"than its file name says; its boxes are used, e.g. "
                f"{self._of_another[0]}"
            )
        listed = {entry.name for entries in lists.values() for entry in entries}
        images = self._files[_IMAGES]
        for folder, names in (
            (_IMAGES, images.keys() - listed),
            (_TRIMAPS, self._files[_TRIMAPS].keys() - listed - images.keys()),
            (_XMLS, self._files[_XMLS].keys() - listed - images.keys()),
        ):
            if names:
                first = self._files[folder][min(names)]
                yield (
                    f"left out {count_of(names, 'file', 'files')} of {folder}/ that no "
                    f"list names, e.g. {first}"
                )
        for folder, listing in self._listings.items():
            for paths in (listing.others, listing.hidden):
                if paths:
                    yield (
                        f"left out {count_of(paths, 'stray file', 'stray files')} of "
                        f"{folder}/, e.g. {paths[0]}"
                    )

    def _list(self, folder: str, suffix: str) -> Listing:
        if not (self._source / folder).is_dir():
            return Listing()  # whoever needs a file of it will say so
        return list_folder(self._source, folder, suffixes={suffix})

    def _add_heads(self, annotation: Annotation, name: str) -> None:
        path = self._files[_XMLS][name]
        try:
            found = read_voc(self._source, path)
            self._check_size(found, path, annotation["label_image"]["path"])
        except AnnotationError as error:
            self.problems.append(error)
            return
        self.problems += found.problems
        if Path(str(found.source.get("filename") or name)).stem != name:
            self._of_another.append(path)
        annotation["source"]["xml"] = found.source
        annotation["regions"] = [
            Region(name=_HEAD, bbox=box.bbox, source=box.source) for box in found.boxes
        ]

    def _check_size(self, found: VocFile, path: str, trimap: str) -> None:
        """Refuses boxes that were drawn on an image of another size."""
        try:
            size = png_size((self._source / trimap).read_start(24))
        except OSError:  # its worker says so
            size = None
        if found.size is not None and size is not None and found.size != size:
            expected, got = (f"{s[0]}x{s[1]}" for s in (size, found.size))
            raise AnnotationError(
                f"{path!r} is of an image of another size than its trimap {trimap!r}: "
                f"expected {expected}, got {got} (height x width). Replace or remove "
                "it.",
                reason="xml-size-mismatch",
            )
