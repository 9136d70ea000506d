"""Mask images: files whose pixel values say which object they belong to.

Oxford-IIIT Pets' trimaps (`index`) and COCO's panoptic PNGs (`id24`,
https://cocodataset.org/#format-data) are such, with a list of objects beside them.
Where there is no list, each value is an object: `segdata.records.found_objects`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.annotations import MaskEncoding
from segdata.errors import AnnotationError
from segdata.images.label_images import SourceRuns

_NOBODY = 0  # COCO's void
_MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class MaskImageRuns:
    """A decoded mask image, from which masks are taken by value."""

    source: SourceRuns
    """Its runs of values."""
    encoding: MaskEncoding
    """Whether values are bound to objects one to one (`id24`) or not (`index`)."""
    name: str
    """Its path, for messages."""
    claims: Mapping[int, int]
    """Value -> number of objects that say it is theirs."""

    @cached_property
    def _by_value(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Value -> start and end of each of its runs, in pixel order."""
        ends = np.cumsum(self.source.lengths)
        starts = ends - self.source.lengths
        order = np.argsort(self.source.codes, kind="stable")
        codes = self.source.codes[order]
        cuts = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        firsts = codes[np.concatenate(([0], cuts))].tolist()
        return dict(
            zip(
                firsts,
                zip(
                    np.split(starts[order], cuts),
                    np.split(ends[order], cuts),
                    strict=True,
                ),
                strict=True,
            )
        )

    def runs(self, value: int) -> NDArray[np.int64]:
        """The mask of the pixels of one value, as `segdata.masks.rle.rle` returns it.

        Raises:
          AnnotationError: If values are bound to objects, and there are none, several
            objects claim them, or the value is void.
        """
        if self.encoding == "id24":
            self._check_bond(value)
        num_pixels = self.source.height * self.source.width
        if value not in self._by_value:
            return np.array([num_pixels, 0], np.int64)
        starts, ends = self._by_value[value]
        # Every object's runs end with a background run that may be empty, and a 0
        # where that leaves their number odd.
        runs = np.empty(2 * len(starts), np.int64)
        runs[0], runs[2::2] = starts[0], starts[1:] - ends[:-1]
        runs[1::2] = ends - starts
        rest = num_pixels - int(ends[-1])
        return np.concatenate((runs, [rest, 0])) if rest else runs

    def _check_bond(self, value: int) -> None:
        if value == _NOBODY:
            raise AnnotationError(
                f"its segment has the id {_NOBODY}, which is void in the mask image "
                f"{self.name!r}: expected another.",
                reason="segment-void",
            )
        if self.claims.get(value, 0) > 1:
            raise AnnotationError(
                f"its segment {value} of the mask image {self.name!r} belongs to "
                f"{self.claims[value]} annotations: expected one.",
                reason="segment-doubled",
            )
        if value not in self._by_value:
            raise AnnotationError(
                f"its segment {value} is not in the mask image {self.name!r}: expected "
                "at least one pixel of that id.",
                reason="segment-missing",
            )

    def unclaimed(self) -> AnnotationError | None:
        """The error for values that must be some object's and are nobody's."""
        if self.encoding == "index":
            return None
        stray = sorted(self._by_value.keys() - self.claims.keys() - {_NOBODY})
        if not stray:
            return None
        named = ", ".join(map(str, stray[:_MAX_NAMED]))
        more = f" and {len(stray) - _MAX_NAMED} more" if len(stray) > _MAX_NAMED else ""
        return AnnotationError(
            f"mask image {self.name!r} has pixels of the segments {named}{more}, which "
            "no annotation names: expected an annotation for each, or id 0 for void.",
            reason="segment-unclaimed",
        )


def claims(objects: Sequence[Any]) -> dict[int, int]:
    """Value -> number of objects of an annotation dict whose `mask_value` it is."""
    values = (item.get("mask_value") for item in objects if isinstance(item, Mapping))
    return Counter(value for value in values if isinstance(value, int))
