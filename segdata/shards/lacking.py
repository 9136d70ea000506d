"""Splits that have no object and no pixel of a class that another split has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from segdata.label_map import LabelMap
from segdata.shards.manifest import SplitSummary

_MAX_NAMED = 5


def lacking_classes(
    splits: Mapping[str, SplitSummary], label_map: LabelMap
) -> dict[str, list[str]]:
    """Split -> names of the classes that it lacks; only splits that lack some."""
    there = {name: _classes(split, label_map) for name, split in splits.items()}
    every = list(dict.fromkeys(chain.from_iterable(there.values())))
    lacking = {
        name: [item for item in every if item not in classes]
        for name, classes in there.items()
    }
    return {name: classes for name, classes in lacking.items() if classes}


def told(split: str, classes: Sequence[str]) -> str:
    """Says what a split lacks, in half a line."""
    more = " ..." if len(classes) > _MAX_NAMED else ""
    what = "class" if len(classes) == 1 else "classes"
    named = ", ".join(classes[:_MAX_NAMED])
    return f"split {split} has none of {len(classes)} {what} of others: {named}{more}"


def _classes(split: SplitSummary, label_map: LabelMap) -> dict[str, None]:
    """Names of the classes of a split, those that are ignored apart."""
    objects = {str(item.id): item.name for item in label_map.object_classes}
    pixels = {
        str(item.id): item.name
        for item in label_map.semantic_classes
        if item.id != label_map.ignore_id
    }
    counts = split.counts
    found = [
        pixels[i] for i, count in counts.class_pixels.items() if count and i in pixels
    ]
    found += [objects[i] for i, n in counts.class_objects.items() if n and i in objects]
    return dict.fromkeys(found)
