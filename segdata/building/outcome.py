"""What only a finished build tells: remarks on it, as the manifest holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from segdata.building.splits import SplitChoice
from segdata.label_map import LabelMap
from segdata.shards.lacking import lacking_classes, told
from segdata.shards.manifest import SplitSummary

_MUCH = 0.01
"""Share of all pixels above which it is said what became of them."""


def remarks(
    splits: Mapping[str, SplitSummary], label_map: LabelMap, choice: SplitChoice
) -> Iterator[str]:
    """One line on each thing that a person should know.

    Args:
      splits: What was written.
      label_map: The classes.
      choice: How the splits were chosen or drawn.
    """
    if choice.shares:
        for name, classes in lacking_classes(splits, label_map).items():
            yield f"{told(name, classes)}. --stratify spreads classes over splits"
    counts = [split.counts for split in splits.values()]
    if left_out := sum(each.left_out_objects for each in counts):
        yield f"{left_out} objects of classes that --map and --only leave out"
    total = sum(each.class_pixels.total() for each in counts)
    for pixels, what in (
        (
            sum(each.voided_pixels for each in counts),
            "have values that no class has, and are ignored: if they are a class, add "
            "it to the class file",
        ),
        (
            sum(each.moved_pixels for each in counts),
            "have values that no class has, and got the nearest class: export the "
            "labels as PNG if you can",
        ),
    ):
        if total and pixels / total > _MUCH:
            yield f"{pixels / total:.1%} of all labelled pixels {what}"
