"""Histograms as numbers of SVG rectangles: what the page's template draws."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segdata.statistics.tally import SIZE_EDGES

WIDTH, HEIGHT = 320, 132
"""Size of a chart's drawing area, in units of its view box."""


_FEWEST_BINS = 6  # one bin as wide as a chart tells nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bin of one split."""

    label: str
    """What it counts, in words."""
    count: int
    """How many."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """The histogram of one split."""

    split: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Places on the x axis and their texts."""
    summary: str
    """The histogram in words, for those who do not see it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One histogram of every split."""

    title: str
    note: str
    """What is counted, in which unit."""
    panels: tuple[Panel, ...]


def size_chart(splits: Mapping[str, Any]) -> Chart:
    """Objects by the side of a square of their area."""
    edges = [0, *SIZE_EDGES]
    labels = [f"{low} to {high} px" for low, high in itertools.pairwise(edges)]
    labels.append(f"from {edges[-1]} px on")
    return Chart(
        title="Object sizes",
        note="Side of a square of the same area, in pixels. COCO calls objects small "
        "below 32 and large from 96 on.",
        panels=tuple(
            _panel(
                name,
                split["object_sizes"]["histogram"],
                labels,
                {edges.index(side): f"{side}" for side in (0, 16, 32, 96, 256)},
                "objects",
            )
            for name, split in splits.items()
        ),
    )


def ratio_chart(splits: Mapping[str, Any]) -> Chart:
    """Images by width / height."""
    panels = []
    for name, split in splits.items():
        found = split["image_sizes"]["aspect_ratios"]
        edges = [f"{edge:.2f}" for edge in found["edges"]]
        labels = [f"below {edges[0]}"]
        labels += [f"{a} to {b}" for a, b in itertools.pairwise(edges)]
        labels.append(f"from {edges[-1]} on")
        ticks = {2: "1:2", 5: "1:1", 7: "4:3", 9: "2:1"}
        panels.append(_panel(name, found["histogram"], labels, ticks, "images"))
    return Chart(
        title="Aspect ratios",
        note="Width / height of the images.",
        panels=tuple(panels),
    )


def bits_chart(splits: Mapping[str, Any], key: str, title: str, unit: str) -> Chart:
    """A distribution whose bins double."""
    panels = []
    first, last = _used_bins([split[key]["histogram"] for split in splits.values()])
    for name, split in splits.items():
        histogram = split[key]["histogram"]
        bins = [histogram[i] if i < len(histogram) else 0 for i in range(first, last)]
        labels = [_bits_label(i, unit) for i in range(first, last)]
        step = max(1, len(bins) // 4)
        ticks = {
            i: _short(1 << (first + i - 1) if first + i else 0)
            for i in range(0, len(bins), step)
        }
        panels.append(_panel(name, bins, labels, ticks, "records"))
    return Chart(
        title=title, note=f"Bins double: {unit}, logarithmic.", panels=tuple(panels)
    )


def _used_bins(histograms: Sequence[Sequence[int]]) -> tuple[int, int]:
    used = [i for histogram in histograms for i, n in enumerate(histogram) if n]
    return (min(used), max(used) + 1) if used else (0, 1)


def _bits_label(bits: int, unit: str) -> str:
    if bits < 2:
        return f"{bits} {unit}"
    return f"{1 << (bits - 1):,} to {(1 << bits) - 1:,} {unit}"


def _short(value: int) -> str:
    for unit, size in (("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)):
        if value >= size:
            return f"{value // size}{unit}"
    return str(value)


def _panel(
    split: str,
    bins: Sequence[int],
    labels: Sequence[str],
    ticks: Mapping[int, str],
    what: str,
) -> Panel:
    largest = max(bins, default=0) or 1
    step = WIDTH / max(_FEWEST_BINS, len(bins))
    bars = tuple(
        Bar(
            label=label,
            count=count,
            x=round(index * step + step * 0.08, 2),
            y=round(HEIGHT - HEIGHT * count / largest, 2),
            width=round(step * 0.84, 2),
            height=round(HEIGHT * count / largest, 2),
        )
        for index, (label, count) in enumerate(zip(labels, bins, strict=True))
    )
    most = max(bars, key=lambda bar: bar.count)
    return Panel(
        split=split,
        bars=bars,
        ticks=tuple((round(index * step, 2), text) for index, text in ticks.items()),
        summary=f"{split}: {sum(bins):,} {what}; most of them, {most.count:,}, with "
        f"{most.label}.",
    )
