"""Reading COCO-style JSON: https://cocodataset.org/#format-data, as tools write it.

A file is checked as far as the scan needs it: images, and which annotation belongs to
which of them. Annotations are parsed image by image, when they are planned. What they
say of masks is checked where masks are encoded, object by object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from segdata.errors import AnnotationError, SourceError, short_repr
from segdata.formats.coco.tables import (
    NOT_COCO,
    Row,
    no_table,
    parse_row,
    parse_rows,
    read_tables,
    row_keys,
)
from segdata.formats.coco.values import Id, file_name, known_id, side, whole
from segdata.storage.paths import Location
from segdata.validation import canonical_json

_MAX_INFO_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsByImage:
    """The annotations of one file, handed to the images they belong to."""

    path: Location
    """Where they were read."""
    rows: Mapping[Id, Sequence[Row]]
    """Image id -> its annotations, in the file's order; only images that have some."""
    problems: tuple[AnnotationError, ...]
    """Annotations that belong to no image."""
    warnings: tuple[str, ...]
    """What a person should know, one line each."""

    def parsed(self, image_id: Id) -> list[dict[str, Any]]:
        """An image's annotations in the order of their ids; maybe none.

        Raises:
          SourceError: If a text or number of a row turns out to be malformed.
        """
        rows = parse_rows(self.rows.get(image_id, ()), self.path)
        sort_rows(rows)
        return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoFile:
    """The parts of one JSON that make a dataset."""

    path: Location
    """Where it was read."""
    images: Mapping[Id, Row]
    """Image id -> image, ids and file names checked."""
    file_names: Sequence[str]
    """File names of the images, in their order."""
    annotations: RowsByImage
    """Its annotations."""
    categories: Sequence[Mapping[str, Any]]
    """Its categories, unchecked."""
    info: Mapping[str, Any]
    """What else stands in it: `info`, `licenses`, and keys that are not COCO's."""
    warnings: tuple[str, ...]
    """What a person should know, one line each."""

    @property
    def has_segments(self) -> bool | None:
        """Whether its annotations are panoptic; None where it has none."""
        for rows in self.annotations.rows.values():
            return "segments_info" in parse_rows(rows[:1], self.path)[0]
        return None

    def parsed_images(self) -> Iterator[tuple[Id, dict[str, Any]]]:
        """Id and entry of each image.

        Raises:
          SourceError: If a text or number of it turns out to be malformed.
        """
        for image_id, row in self.images.items():
            yield image_id, parse_row(row, self.path)


def read_coco(path: Location) -> CocoFile:
    """Reads a file of instances or of panoptic segments.

    Raises:
      SourceError: If it is not JSON, not COCO-style, or ids of images are not unique.
    """
    found = read_tables(
        path, ("images", "annotations", "categories"), ("info", "licenses")
    )
    images: dict[Id, Row] = {}
    file_names = []
    odd = Counter[str]()
    for row in found.tables["images"]:
        image = _parsed_object(row, path, "images")
        image_id = checked_id(image, "image", path)
        if image_id in images:
            raise SourceError(
                f"{path.name}: two images have the id {image_id!r}: ids must differ.",
                reason="duplicate-image-id",
            )
        given = image.get("file_name")
        name = given if type(given) is str and given else file_name(image)
        if name is None:
            raise SourceError(
                f"{path.name}: image {image_id!r} has no 'file_name'.",
                reason="image-without-file-name",
            )
        images[image_id] = row
        file_names.append(name)
        if name is not given:
            odd["urls"] += 1
        height, width = image.get("height"), image.get("width")
        if not (type(height) is type(width) is int and height > 0 < width):
            odd["sizes"] += side(height) is None or side(width) is None
    categories = [
        _parsed_object(row, path, "categories") for row in found.tables["categories"]
    ]
    category_ids = {whole(row.get("id")) for row in categories if _has_id(row)}
    info, warnings = _checked_info(found.others, path)
    return CocoFile(
        path=path,
        images=images,
        file_names=file_names,
        annotations=rows_by_image(
            found.tables["annotations"], images, path, category_ids
        ),
        categories=categories,
        info=info,
        warnings=(*warnings, *_told(odd, len(images), path)),
    )


def read_all(paths: Sequence[Location]) -> tuple[list[CocoFile], list[str]]:
    """Reads files of which some may be something else.

    Returns:
      Those that are COCO's, and a line for those that are passed over.

    Raises:
      SourceError: If none is COCO's, or one is that is bad.
    """
    files, others = [], []
    for path in paths:
        try:
            files.append(read_coco(path))
        except SourceError as error:
            if error.reason != NOT_COCO:
                raise
            others.append(error)
    if not files:
        raise others[0]
    if not others:
        return files, []
    return files, [
        f"passed over {len(others)} of {len(paths)} JSON files, e.g. {others[0]}"
    ]


def rows_by_image(
    rows: Sequence[Row],
    images: Mapping[Id, Row],
    path: Location,
    category_ids: Collection[Id] = (),
) -> RowsByImage:
    """Hands each row of annotations to its image.

    Args:
      rows: The annotations.
      images: What the images' ids are.
      path: Where they were read.
      category_ids: Ids of the file's categories.

    Raises:
      SourceError: If a row is malformed.
    """
    by_image: dict[Id, list[Row]] = {}
    problems = []
    seen: set[Id] = set()
    doubled: list[Id] = []
    other_types: dict[str, list[tuple[Any, Id]]] = {}
    for row in rows:
        keys = row_keys(row, path, "annotations")
        image_id, annotation_id = keys.image_id, keys.id
        if type(image_id) in (int, str) and image_id in images:
            by_image.setdefault(image_id, []).append(row)
        elif (meant := known_id(image_id, images)) is not None:
            by_image.setdefault(meant, []).append(row)
            other_types.setdefault("image", []).append((image_id, meant))
        else:
            problems.append(_unknown_image(row, images, path))
        category_id = keys.category_id
        if type(category_id) is not int or category_id not in category_ids:
            _note_category(category_id, category_ids, other_types)
        if isinstance(annotation_id, int | str):
            if annotation_id in seen:
                doubled.append(annotation_id)
            seen.add(annotation_id)
    warnings = [
        f"{path.name}: {len(found)} annotations name their {what} by another type than "
        f"its id has, e.g. {short_repr(found[0][0])} for {short_repr(found[0][1])}: "
        "taken as the same"
        for what, found in other_types.items()
    ]
    if doubled:
        warnings.append(
            f"{path.name}: {len(doubled)} annotation ids appear twice, e.g. "
            f"{short_repr(min(doubled, key=str))}; all annotations are kept"
        )
    return RowsByImage(
        path=path,
        rows=by_image,
        problems=tuple(sorted(problems, key=str)),
        warnings=tuple(warnings),
    )


def sort_rows(rows: list[dict[str, Any]]) -> None:
    """By id; by content where ids miss or repeat. So the file's order is no matter."""
    ids = [row.get("id") for row in rows]
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        rows.sort(key=itemgetter("id"))
    else:
        rows.sort(key=_place)


def checked_id(row: Mapping[str, Any], what: str, path: Location) -> Id:
    """The id of an image or category.

    Raises:
      SourceError: If it is no integer and no text.
    """
    value = whole(row.get("id"))
    if not isinstance(value, int | str) or isinstance(value, bool):
        article = "an" if what == "image" else "a"
        raise SourceError(
            f"{path.name}: the id of {article} {what} is {short_repr(value)}: expected "
            "an integer or text.",
            reason=f"bad-{what}-id",
        )
    return value


def _has_id(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("id"), int | str | float)


def _note_category(
    given: Any, known: Collection[Id], noted: dict[str, list[tuple[Any, Id]]]
) -> None:
    """Notes a category that is named by another type of id."""
    meant = known_id(given, known)
    if meant is not None and type(meant) is not type(given):
        noted.setdefault("category", []).append((given, meant))


def _told(odd: Mapping[str, int], num_images: int, path: Location) -> Iterator[str]:
    if odd["urls"]:
        yield (
            f"{path.name}: {odd['urls']} images have no 'file_name': it is the end of "
            "their 'coco_url', with its folder"
        )
    if odd["sizes"]:
        yield (
            f"{path.name}: the size of {odd['sizes']} of {num_images} images is not "
            "said (0, -1 or nothing): the files' own counts"
        )


def _parsed_object(row: Row, path: Location, table: str) -> dict[str, Any]:
    parsed = parse_row(row, path)
    if not isinstance(parsed, dict):
        raise no_table(path, table)
    return parsed


def _unknown_image(
    row: Row, images: Mapping[Id, Row], path: Location
) -> AnnotationError:
    parsed = parse_row(row, path)
    called, image_id = (
        f"annotation {short_repr(parsed.get('id'))}",
        parsed.get("image_id"),
    )
    if "id" not in parsed:
        text = orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()
        called = f"an annotation without id, {short_repr(text)},"
    return AnnotationError(
        f"{path.name}: {called} is of the unknown image {short_repr(image_id)}: "
        f"expected one of {len(images)} ids.",
        reason="unknown-image",
    )


def _place(row: Mapping[str, Any]) -> tuple[bool, int, bytes]:
    row_id = row.get("id")
    try:
        content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested too deep: refused later
        content = b""
    return (False, row_id, content) if isinstance(row_id, int) else (True, 0, content)


def _checked_info(
    others: Mapping[str, Row], path: Location
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """What the manifest can hold of it, and a warning that names the rest."""
    kept: dict[str, Any] = {}
    left_out = []
    room = _MAX_INFO_BYTES
    for name, row in others.items():
        value = parse_row(row, path)
        try:
            text = canonical_json({name: value}, path.name)
        except AnnotationError:  # such as nested too deep
            text = b""
        if 0 < len(text) <= room:
            room -= len(text)
            kept |= orjson.loads(text)
        else:
            left_out.append(name)
    if not left_out:
        return kept, ()
    return kept, (
        f"{path.name}: left out of the manifest: {', '.join(map(repr, left_out))}: "
        f"more than {_MAX_INFO_BYTES} bytes in all, or nested too deep",
    )
