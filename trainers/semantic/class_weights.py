"""Weights of classes in the loss, from the numbers of their pixels. Free of Keras."""

from __future__ import annotations

from collections.abc import Mapping

from segdata.errors import OptionError


def median_frequency_weights(
    class_pixels: Mapping[int, int],
    num_classes: int,
    *,
    power: float = 1.0,
    limit: float = 10.0,
) -> list[float]:
    """Weights that make up for rare classes.

    The median of all classes' shares of the pixels, divided by the class's own (Eigen,
    Fergus 2015, as used by SegNet), to a power. Shares are of all pixels of the split,
    where the paper counts only images that show the class: that is what the manifest
    knows.

    Args:
      class_pixels: Class id -> pixels. Classes without pixels get weight 1: they never
        count.
      num_classes: Number of weights.
      power: 0 (all alike) to 1; 0.5 is the square root.
      limit: Largest weight, so that a class of a few pixels does not drown the rest.

    Raises:
      OptionError: If `power` or `limit` is out of range, or no class has any pixels.
    """
    if not 0 <= power <= 1:
        raise OptionError(f"class weight power is {power}: expected 0 to 1.")
    if limit < 1:
        raise OptionError(f"class weight limit is {limit}: expected at least 1.")
    counts = [class_pixels.get(index, 0) for index in range(num_classes)]
    present = sorted(count for count in counts if count)
    if not present:
        raise OptionError(
            "no class has any pixels: class weights cannot be derived. Check the "
            "dataset with `segdata info`, or train without them."
        )
    middle = len(present) // 2
    median = (present[middle] + present[~middle]) / 2
    return [min(limit, (median / count) ** power) if count else 1.0 for count in counts]
