"""Ids and paths in COCO's JSON: the source's own where it had any, else new ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from segdata.exports.base import common_folder
from segdata.identity import MAX_IMAGE_ID
from segdata.records.record import Record

_LARGE = 1 << 62
"""JSON is written with integers of 64 bits; new ids are counted on from old ones."""


@dataclass(kw_only=True)
class CocoIds:
    """The ids of one export."""

    are_numbers: bool
    """Whether the source's image ids were numbers: records keep them as text."""
    first_new: int
    """Smallest number that no annotation of the source has."""
    folders: Mapping[str, str]
    """Split -> the folder that all its images lie in, or empty."""
    _new: itertools.count[int] = field(init=False)

    def __post_init__(self) -> None:
        self._new = itertools.count(self.first_new)

    @classmethod
    def of(cls, splits: Mapping[str, Iterable[Record]]) -> CocoIds:
        """Looks at all records of some splits."""
        highest, are_decimal, are_kept, any_large = 0, True, True, False
        folders = {}
        for split, source in splits.items():
            names = set()
            for record in source:
                names.add(f"{record.filename.rpartition('/')[0]}/")
                for item in record.objects:
                    given = item.source.get("id")
                    if isinstance(given, int) and given < _LARGE:
                        highest = max(highest, given)
                number = _number(record.image_id)
                are_decimal &= number is not None
                are_kept &= record.image_id == record.source_id
                any_large |= number is not None and not 0 <= number <= MAX_IMAGE_ID
            folders[split] = common_folder(names)
        # Text such as "7" gets a number of our own as `source_id`; the number 7 is kept
        # as it is unless another of the dataset is too large.
        return cls(
            are_numbers=are_decimal and (are_kept or any_large),
            first_new=highest + 1,
            folders=folders,
        )

    def image_id(self, record: Record) -> int | str:
        """The image's id in the source, or its number where it had none."""
        if not record.image_id:
            return int(record.source_id)
        return int(record.image_id) if self.are_numbers else record.image_id

    def next_annotation_id(self) -> int:
        """An id that no other annotation has."""
        return next(self._new)


def _number(text: str) -> int | None:
    """The number that is spelled so and not otherwise; None for other text."""
    try:
        number = int(text)
    except ValueError:
        return None
    is_spelled_so = abs(number) < _LARGE and str(number) == text
    return number if is_spelled_so else None
