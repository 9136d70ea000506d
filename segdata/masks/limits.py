"""What the masks of one image may cost: no stranger's file shall fill the memory.

A few kilobytes of polygons or of column-major runs can hide gigabytes of runs along the
rows: stripes one pixel wide have one at every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from segdata.errors import AnnotationError

MAX_POLYGON_WALK = 1 << 22
"""Longest outline in pixels that is rasterised for one object. pycocotools walks every
pixel of every edge in memory, five-fold oversampled, also outside the image: without a
limit one coordinate of 1e9 costs all memory."""

MAX_BOUNDARIES = 1 << 22
"""Most ends of runs that one object may have, along columns or along rows."""

_IMAGE_WALK = 1 << 26
_IMAGE_BOUNDARIES = 1 << 24


class MaskBudgetError(AnnotationError):
    """The masks of an image cost too much together: no single object is to blame."""

    reason = "masks-too-complex"


@dataclass(kw_only=True, slots=True)
class MaskBudget:
    """What is left for the next objects of an image; spent before memory is."""

    walk: int = _IMAGE_WALK
    """Pixels of outlines to rasterise."""
    boundaries: int = _IMAGE_BOUNDARIES
    """Ends of runs, along columns as the source spells them, then along rows."""

    def spend_walk(self, pixels: float) -> None:
        """Takes the outline of one object.

        Raises:
          AnnotationError: If it is too long by itself.
          MaskBudgetError: If it is too long together with those before it.
        """
        if pixels > MAX_POLYGON_WALK:
            raise AnnotationError(
                f"polygon's outline is longer than {MAX_POLYGON_WALK} pixels: it is "
                "not rasterised. Are its coordinates in pixels?",
                reason="bad-polygon",
            )
        self.walk -= int(pixels)
        if self.walk < 0:
            raise MaskBudgetError(
                "the outlines of the image's polygons are longer than "
                f"{_IMAGE_WALK} pixels together: they are not rasterised. Are their "
                "coordinates in pixels?"
            )

    def spend_columns(self, count: int) -> None:
        """Takes the ends of runs that one object has along its columns.

        Raises:
          AnnotationError: If it has too many by itself.
          MaskBudgetError: If there are too many together with those before it.
        """
        self._spend_boundaries(count, "columns")

    def spend_rows(self, count: int) -> None:
        """Takes the ends of runs that one object has along its rows, likewise."""
        self._spend_boundaries(count, "rows")

    def _spend_boundaries(self, count: int, along: str) -> None:
        if count > MAX_BOUNDARIES:
            raise AnnotationError(
                f"mask has {count} ends of runs along its {along}: at most "
                f"{MAX_BOUNDARIES} are stored. Is it noise, or fine stripes?",
                reason="noisy-mask",
            )
        self.boundaries -= count
        if self.boundaries < 0:
            raise MaskBudgetError(
                f"the masks of the image have more than {_IMAGE_BOUNDARIES} ends of "
                "runs together: they are not stored. Are they noise, or fine stripes?"
            )
