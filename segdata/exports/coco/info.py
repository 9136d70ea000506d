"""What a COCO file says beside its images and annotations: licences and the like."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

from segdata.formats.coco.layout import split_names
from segdata.shards.manifest import Manifest


def file_info(
    manifest: Manifest, split: str, image_ids: Collection[int | str]
) -> dict[str, Any]:
    """Top-level fields of a split's JSON, as the source's files had them.

    Where the split is none of the source's, those of all its files: lists are joined,
    of other values the first counts. Rows of other images are left out.

    Args:
      manifest: The build's.
      split: The split that is written.
      image_ids: Ids of its images.
    """
    files = dict(manifest.source_info)
    names = split_names([PurePosixPath(title) for title in files]) if files else []
    own = [
        info for info, name in zip(files.values(), names, strict=True) if name == split
    ]
    merged: dict[str, Any] = {}
    for info in own or files.values():
        for key, value in info.items():
            known = merged.setdefault(key, value)
            if (
                known is not value
                and isinstance(known, list)
                and isinstance(value, list)
            ):
                merged[key] = [*known, *(row for row in value if row not in known)]
    fields = {"info": {"description": manifest.name}, "licenses": [], **merged}
    return {key: _of_images(value, image_ids) for key, value in fields.items()}


def _of_images(value: Any, image_ids: Collection[int | str]) -> Any:
    if not isinstance(value, list):
        return value
    return [
        row
        for row in value
        if not (isinstance(row, dict) and type(row.get("image_id")) in (int, str))
        or row["image_id"] in image_ids
    ]
