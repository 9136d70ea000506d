"""One COCO JSON of images with all that goes with it -> annotation dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segdata.annotations import Annotation, record_key
from segdata.errors import AnnotationError
from segdata.formats.coco.companions import join_keypoints
from segdata.formats.coco.image_places import ImagePlaces
from segdata.formats.coco.json import CocoFile, RowsByImage
from segdata.formats.coco.objects import instance_object
from segdata.formats.coco.panoptic import add_segments
from segdata.formats.coco.values import Id, side
from segdata.storage.paths import Location

_IMAGE_FIELDS = ("id", "file_name", "height", "width")
_VERIFIED = {
    "absent_classes": "neg_category_ids",
    "incomplete_classes": "not_exhaustive_category_ids",
}
"""What LVIS says of the classes that were looked for."""
_CAPTION_FIELDS = ("image_id", "caption")


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoPart:
    """One JSON, the files that say more of its images, and where these lie."""

    file: CocoFile
    """The JSON that lists the images."""
    is_panoptic: bool
    """Whether its annotations are panoptic."""
    places: ImagePlaces
    """Where its images lie."""
    png_folder: str
    """Folder of the panoptic PNGs, likewise."""
    keypoints: RowsByImage | None
    """Annotations of a keypoints file."""
    keypoint_categories: Sequence[Mapping[str, Any]]
    """Its categories."""
    captions: RowsByImage | None
    """Captions; None where there is no file of them."""
    notices: tuple[str, ...]
    """What a person should know of it all, one line each."""

    @property
    def title(self) -> str:
        """What was found, in some words."""
        files = " + ".join(rows.path.name for rows in self._rows)
        folders = [self.places.folder, *[self.png_folder] * self.is_panoptic]
        told = " and ".join(f"{name or '.'}/" for name in folders)
        return f"{files} with {told}"

    @property
    def categories(self) -> list[tuple[Location, Sequence[Mapping[str, Any]]]]:
        """Files and the categories in them."""
        found = [(self.file.path, self.file.categories)]
        if self.keypoints is not None:
            found.append((self.keypoints.path, self.keypoint_categories))
        return found

    @property
    def problems(self) -> tuple[AnnotationError, ...]:
        """Annotations that belong to no image."""
        return tuple(problem for rows in self._rows for problem in rows.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, one line each."""
        found = (warning for rows in self._rows for warning in rows.warnings)
        return (*self.file.warnings, *found, *self.places.warnings, *self.notices)

    @property
    def _rows(self) -> list[RowsByImage]:
        every = (self.file.annotations, self.keypoints, self.captions)
        return [rows for rows in every if rows is not None]

    def annotations(
        self,
        categories: Collection[Id],
        keypoint_classes: frozenset[Any],
        split: str | None,
        shared_keys: Collection[str],
        *,
        is_painted: bool,
    ) -> Iterator[Annotation]:
        """One annotation dict per image.

        Args:
          categories: Ids of all categories.
          keypoint_classes: Ids of the categories that have keypoints.
          split: The split that they are in.
          shared_keys: From `shared_keys`: their images have their ending in their key.
          is_painted: Whether their label maps are to be painted from the objects.

        Raises:
          SourceError: If a text or number of a row turns out to be malformed.
        """
        for (image_id, image), path in zip(
            self.file.parsed_images(), self.places.paths, strict=True
        ):
            data: Annotation = {
                "image": path,
                "image_id": image_id,
                "source": {k: v for k, v in image.items() if k not in _IMAGE_FIELDS},
            }
            if split is not None:
                data["split"] = split
            if shared_keys and record_key(data) in shared_keys:
                data["key"] = data["image"]
            for name in ("height", "width"):
                if (pixels := side(image.get(name))) is not None:
                    data[name] = pixels
            rows = self.file.annotations.parsed(image_id)
            if not self.is_panoptic:
                if self.keypoints is not None:
                    rows = join_keypoints(rows, self.keypoints.parsed(image_id))
                data["objects"] = [
                    instance_object(row, categories, keypoint_classes) for row in rows
                ]
            elif rows:
                add_segments(data, rows[0], self.png_folder, categories)
            for name, field in _VERIFIED.items():
                if isinstance(ids := image.get(field), list):
                    data[name] = ids  # type: ignore[literal-required]  # both are
            if self.captions is not None:
                _add_captions(data, self.captions.parsed(image_id))
            if is_painted:
                data["paint_label_map"] = True
            yield data


def shared_keys(paths: Sequence[str]) -> frozenset[str]:
    """Keys that images would share that differ by their ending only."""
    stems = Counter(path.rpartition(".")[0] or path for path in paths)
    if len(stems) == len(paths):  # nearly always, and quick to tell
        return frozenset()
    doubled = {path for path in paths if stems[path.rpartition(".")[0] or path] > 1}
    keys = Counter(record_key({"image": path}) for path in doubled)
    return frozenset(key for key, count in keys.items() if count > 1)


def _add_captions(data: Annotation, rows: Sequence[Mapping[str, Any]]) -> None:
    data["captions"] = [row["caption"] for row in rows]
    others = [{k: v for k, v in r.items() if k not in _CAPTION_FIELDS} for r in rows]
    if others:
        data["source"] = {"captions": others, **data["source"]}
