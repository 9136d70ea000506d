"""The files of a record in which annotations are drawn or written: labels, masks, text.

Reads nothing: their bytes are in hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, ImageError, RecordError
from segdata.formats import annotation_reader
from segdata.images.label_images import (
    LabelRuns,
    SourceRuns,
    read_source_runs,
    to_label_runs,
)
from segdata.images.mask_images import MaskImageRuns, claims
from segdata.images.orientation import Exif
from segdata.label_map import LabelMap
from segdata.records.found_objects import find_objects
from segdata.validation import validate_annotation

Files = Mapping[str, bytes | RecordError]
"""Path as the annotation names it -> what the file holds, or why it was not read."""

_OBJECT = 255  # in `binary` runs


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectMasks:
    """Where objects without a `segmentation` have their masks."""

    image: MaskImageRuns | None = None
    """The mask image, for those with a `mask_value`."""
    files: Mapping[str, SourceRuns] = field(default_factory=dict)
    """Path -> its runs of 0 and 255, for those with a `mask_file`."""

    def runs(self, item: Mapping[str, Any]) -> NDArray[np.int64]:
        """The mask of an object, as `segdata.masks.rle.rle` returns it.

        Raises:
          AnnotationError: If it has none here.
        """
        if "mask_file" in item and item["mask_file"] in self.files:
            name = item["mask_file"]
            return _whole(self.files[name], name).runs(_OBJECT)
        if "mask_value" in item and self.image is not None:
            return self.image.runs(int(item["mask_value"]))
        expected = "mask_image" if "mask_value" in item else "mask_files"
        raise AnnotationError(
            f"its mask is in no file: expected {expected!r} beside the objects.",
            reason="bad-mask-value",
        )

    def unclaimed(self) -> AnnotationError | None:
        """The error for values of the mask image that are nobody's, and may not be."""
        return None if self.image is None else self.image.unclaimed()


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What the label image, mask image and mask files of a record hold."""

    labels: LabelRuns | None
    """The label map, where there is a label image."""
    label_path: str
    """Path of the label image, or empty."""
    masks: ObjectMasks
    """Where its objects have their masks."""
    objects: Sequence[Mapping[str, Any]]
    """Its objects: listed, found in the mask image, and of mask files."""
    num_left_out: int = 0
    """Objects of classes that are left out."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that the annotations were drawn for, if a file tells."""
        return next((size for _, _, size in self.sizes()), None)

    def sizes(self) -> Iterator[tuple[str, str, tuple[int, int]]]:
        """What each file is, its path, and its height and width."""
        if (runs := self.labels) is not None:
            yield "label image", self.label_path, (runs.height, runs.width)
        if (mask := self.masks.image) is not None:
            yield "mask image", mask.name, (mask.source.height, mask.source.width)
        for path, of_file in self.masks.files.items():
            yield "mask file", path, (of_file.height, of_file.width)


def content(files: Files, path: str, what: str, *, may_be_empty: bool = False) -> bytes:
    """What a file of the record holds.

    Raises:
      RecordError: Why it was not read, or if it was not handed over, or is empty and
        may not be.
    """
    found = files.get(path)
    if isinstance(found, RecordError):
        raise found
    slug = what.replace(" ", "-")
    if found is None:
        raise ImageError(
            f"{what} {path!r} was not handed over: expected its bytes, got those of "
            f"{sorted(files)}.",
            reason=f"{slug}-missing",
        )
    if not found and not may_be_empty:
        raise ImageError(
            f"{what} {path!r} is empty: expected an image file, got 0 bytes.",
            reason=f"{slug}-undecodable",
        )
    return found


def with_annotation_file(annotation: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """The annotation dict, with what its annotation file says.

    Raises:
      AnnotationError: If the file cannot be read as what it is said to be, or one of
        the two is not well formed.
    """
    validate_annotation(annotation)
    named = annotation.get("annotation_file")
    if named is None:
        return dict(annotation)
    path = named["path"]
    data = content(files, path, "annotation file", may_be_empty=True)
    try:
        found = annotation_reader(named["reader"])(data, annotation)  # type: ignore[arg-type]
    except AnnotationError as error:
        message = f"annotation file {path!r}: {error}"
        raise AnnotationError(message, reason=error.reason) from error
    whole = {**found, **annotation}
    validate_annotation(whole)
    return whole


def read_drawn(
    data: Mapping[str, Any], files: Files, label_map: LabelMap, exif: Exif
) -> Drawn:
    """Decodes the label image, mask image and mask files of a record.

    Args:
      data: The annotation dict, complete.
      files: What its files hold.
      label_map: The dataset's classes.
      exif: Whether they are turned as EXIF says.

    Raises:
      ImageError: If one was not read, or cannot be decoded.
      AnnotationError: If one holds what it may not.
    """
    read: dict[tuple[str, str, bool], SourceRuns] = {}  # one file may be both

    def runs(item: Mapping[str, Any], encoding: Any, what: str) -> SourceRuns:
        path, lossy = item["path"], "tolerance" in item
        if (path, encoding, lossy) not in read:
            read[path, encoding, lossy] = read_source_runs(
                content(files, path, what),
                encoding,
                path,
                exif=exif,
                may_be_lossy=lossy,
            )
        return read[path, encoding, lossy]

    labels = None
    if (item := data.get("label_image")) is not None:
        encoding = item["encoding"]
        labels = to_label_runs(
            runs(item, encoding, "label image"),
            encoding,
            label_map,
            item["path"],
            tolerance=item.get("tolerance", 0),
        )
    objects: list[Any] = list(data.get("objects") or ())
    image = None
    if (item := data.get("mask_image")) is not None:
        source, path = runs(item, item["encoding"], "mask image"), item["path"]
        rule = item.get("objects")
        if rule is not None:
            objects += find_objects(source, rule, label_map, labels, path)
        image = MaskImageRuns(
            source=source,
            # Objects that are found in it need no proof that they are there.
            encoding="index" if rule is not None else item["encoding"],
            name=path,
            claims=claims(objects),
        )
    of_files = data.get("mask_files") or ()
    objects += [
        {"category_id": item["category_id"], "mask_file": item["path"]}
        for item in of_files
    ]
    masks = {item["path"]: runs(item, "binary", "mask file") for item in of_files}
    kept = _kept(objects, label_map)
    return Drawn(
        labels=labels,
        label_path=data["label_image"]["path"] if labels else "",
        masks=ObjectMasks(image=image, files=masks),
        objects=kept,
        num_left_out=len(objects) - len(kept),
    )


def _kept(objects: list[Any], label_map: LabelMap) -> list[Any]:
    """The objects without those of classes that are left out; bad ones stay."""
    if not label_map.left_out_classes:
        return objects
    return [
        item
        for item in objects
        if not isinstance(item, Mapping) or not label_map.is_left_out(item)
    ]


def _whole(source: SourceRuns, name: str) -> MaskImageRuns:
    return MaskImageRuns(source=source, encoding="index", name=name, claims={})
