"""Statistics and samples -> one HTML page: no network, no files beside it.

The page holds no time and no chance: the same build gives the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from segdata.dataset import Dataset
from segdata.report.charts import (
    HEIGHT,
    WIDTH,
    Chart,
    bits_chart,
    ratio_chart,
    size_chart,
)
from segdata.report.pictures import choose_samples
from segdata.report.remarks import find_remarks
from segdata.version import __version__

_TEMPLATE = "page.html.j2"


def render_report(dataset: Dataset) -> str:
    """Renders the page of a build that `segdata stats` has counted.

    Raises:
      OutputError: If it was not counted yet.
      ImageError: If an image of a sample cannot be decoded.
    """
    stats = dataset.stats
    samples = choose_samples(dataset, stats)
    template = _environment().get_template(_TEMPLATE)
    return template.render(
        dataset=dataset,
        manifest=dataset.manifest,
        stats=stats,
        splits=stats["splits"],
        tables=[
            _table(dataset, stats, name)
            for name in ("semantic_classes", "object_classes")
            if any(split[name] for split in stats["splits"].values())
        ],
        keypoints=_keypoints(dataset, stats["splits"]),
        charts=_charts(stats["splits"]),
        bar_width=max(60, 220 // len(stats["splits"])),
        chart_width=WIDTH,
        chart_height=HEIGHT,
        samples=samples,
        sample_ids={
            f"{s.split}: {s.key}": f"sample-{i}" for i, s in enumerate(samples)
        },
        sample_classes=sorted({name for s in samples for name in s.classes}),
        remarks=find_remarks(dataset, stats),
        version=__version__,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("segdata.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["percent"] = _percent
    environment.filters["bytes"] = _bytes
    return environment


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return "\N{EN DASH}"  # what cannot be told
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _percent(share: float | None) -> str:
    if share is None:
        return "\N{EN DASH}"
    if not share:
        return "0 %"
    return "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def _bytes(value: float | None) -> str:
    size = float(value or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _table(dataset: Dataset, stats: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table of classes: a row for each class, a group of cells for each split."""
    is_semantic = name == "semantic_classes"
    count, share = ("objects", "object_share")
    if is_semantic:
        count, share = "pixels", "pixel_share"
    classes = (
        dataset.classes.semantic_classes
        if is_semantic
        else dataset.classes.object_classes
    )
    colors = {item.id: item.color for item in classes}
    rows: dict[int, dict[str, Any]] = {}
    for split, values in stats["splits"].items():
        for item in values[name]:
            row = rows.setdefault(item["id"], {"item": item, "cells": {}})
            row["color"] = "#{:02x}{:02x}{:02x}".format(
                *colors.get(item["id"], (0,) * 3)
            )
            row["cells"][split] = {
                "count": item[count],
                "share": item[share],
                "images": item["images"],
                "weight": item.get("median_frequency_weight")
                if is_semantic
                else item["inverse_frequency_weight"],
            }
    shares = [c["share"] or 0 for row in rows.values() for c in row["cells"].values()]
    return {
        "id": name.replace("_", "-"),
        "title": "Pixels by class" if is_semantic else "Objects by class",
        "unit": count,
        "weight": "Median-frequency weight"
        if is_semantic
        else "Inverse-frequency weight",
        "rows": sorted(rows.values(), key=_by_count),
        "largest": max(shares, default=0) or 1,
    }


def _keypoints(dataset: Dataset, splits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each keypoint of each class; none where no object has any."""
    # `get`: counted by an earlier version, there are none.
    if not any(split.get("keypoint_objects") for split in splits.values()):
        return []
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    colors = {item.id: item.color for item in dataset.classes.object_classes}
    for split, values in splits.items():
        for item in values["object_classes"]:
            points = (item["keypoints"] or {}).get("points", ())
            for place, point in enumerate(points):
                row = rows.setdefault((item["id"], place), {"cells": {}})
                row["name"], row["point"] = item["name"], point["name"]
                row["color"] = "#{:02x}{:02x}{:02x}".format(*colors[item["id"]])
                row["cells"][split] = point
    return list(rows.values())


def _by_count(row: Mapping[str, Any]) -> tuple[int, int]:
    """The most frequent first."""
    total = sum(cell["count"] for cell in row["cells"].values())
    return -total, row["item"]["id"]


def _charts(splits: Mapping[str, Any]) -> Sequence[Chart]:
    charts = []
    if any(split["objects"] for split in splits.values()):
        charts.append(size_chart(splits))
        charts.append(
            bits_chart(
                splits, "record_objects", "Objects per image", "objects in an image"
            )
        )
    charts.append(ratio_chart(splits))
    charts.append(
        bits_chart(
            splits, "record_runs", "Runs per record", "runs of label map and masks"
        )
    )
    charts.append(bits_chart(splits, "record_bytes", "Record size", "bytes"))
    return charts
