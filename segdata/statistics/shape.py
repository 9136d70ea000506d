"""What `stats.json` looks like, and whether what was read is that.

docs/statistics.md says what each number is.
"""

from __future__ import annotations

from typing import Any, TypedDict

from segdata.label_map import LabelMap
from segdata.shards.kinds import check_value
from segdata.shards.manifest import Manifest
from segdata.statistics.tally import SIZE_EDGES


class _Example(TypedDict):
    key: str
    position: int


class _Finding(TypedDict):
    count: int
    examples: list[_Example]


class _Sizes(TypedDict):
    small: int
    medium: int
    large: int
    histogram: list[int]


class _Range(TypedDict):
    min: int | None
    max: int | None
    mean: float | None


class _Distribution(_Range):
    total: int
    histogram: list[int]


class _ImageSize(TypedDict):
    width: int
    height: int
    images: int


class _AspectRatios(TypedDict):
    edges: list[float]
    histogram: list[int]


class _ImageSizes(TypedDict):
    widths: _Range
    heights: _Range
    num_different: int
    most_frequent: list[_ImageSize]
    aspect_ratios: _AspectRatios


class _Channels(TypedDict):
    images: int
    pixels: int
    is_exact: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    standard_error: tuple[float, float, float] | None


class _SemanticClass(TypedDict):
    id: int
    name: str
    is_ignored: bool
    pixels: int
    pixel_share: float | None
    images: int
    median_frequency_weight: float | None
    inverse_frequency_weight: float | None
    examples: list[_Example]


class _Point(TypedDict):
    name: str
    visible: int
    covered: int
    not_labelled: int


class _Keypoints(TypedDict):
    objects: int
    points: list[_Point]


class _ObjectClassSince(TypedDict, total=False):
    keypoints: _Keypoints | None


class _ObjectClass(_ObjectClassSince):
    id: int
    name: str
    objects: int
    object_share: float | None
    crowds: int
    images: int
    mask_pixels: int
    sizes: _Sizes
    inverse_frequency_weight: float | None
    examples: list[_Example]


class _Rejects(TypedDict):
    records: dict[str, int]
    objects: dict[str, int]


class _SplitSince(TypedDict, total=False):
    """What earlier versions do not count."""

    keypoint_objects: int


class _SplitStats(_SplitSince):
    images: int
    empty_images: int
    objects: int
    crowds: int
    crowd_share: float | None
    box_only_objects: int
    object_sizes: _Sizes
    image_sizes: _ImageSizes
    record_bytes: _Distribution
    record_runs: _Distribution
    record_objects: _Distribution
    channels: _Channels | None
    semantic_classes: list[_SemanticClass]
    object_classes: list[_ObjectClass]
    findings: dict[str, _Finding]
    rejects: _Rejects


class _Groups(TypedDict):
    num_groups: int
    groups: list[list[str]]


class _Duplicates(TypedDict):
    within_splits: _Groups
    across_splits: _Groups


class _Pixels(TypedDict):
    mode: str
    sample_size: int


class Stats(TypedDict):
    """The whole file."""

    stats_version: int
    fingerprint: str
    pixels: _Pixels
    size_edges: list[int]
    splits: dict[str, _SplitStats]
    duplicates: _Duplicates


def check_stats(data: Any, manifest: Manifest) -> None:
    """Checks statistics against their shape and their build.

    Raises:
      TypeError: If something is missing or of another type; it names the key.
      ValueError: If they speak of other splits, classes or records than there are.
    """
    check_value(data, Stats, "")
    if data["splits"].keys() != manifest.splits.keys():
        raise ValueError("its splits are not those of the manifest")
    for groups in data["duplicates"].values():
        if groups["num_groups"] and not all(groups["groups"] or [[]]):
            raise ValueError("duplicates are counted and not named")
    for split in data["splits"].values():
        _check_split(split, manifest.label_map)


def _check_split(split: _SplitStats, label_map: LabelMap) -> None:
    known = {item.id for item in label_map.object_classes}
    if not {item["id"] for item in split["object_classes"]} <= known:
        raise ValueError("it has object classes that the manifest has not")
    rows = [*split["semantic_classes"], *split["object_classes"]]
    found = [row["examples"] for row in rows]
    found += [finding["examples"] for finding in split["findings"].values()]
    positions = [example["position"] for examples in found for example in examples]
    if not all(0 <= position < split["images"] for position in positions):
        raise ValueError("it names records beyond those that it counted")
    if not all(finding["examples"] for finding in split["findings"].values()):
        raise ValueError("it has findings without an example")
    ratios = split["image_sizes"]["aspect_ratios"]
    if len(ratios["histogram"]) != len(ratios["edges"]) + 1 or not ratios["edges"]:
        raise ValueError("its aspect ratios have other bins than edges")
    if len(split["object_sizes"]["histogram"]) != len(SIZE_EDGES) + 1:
        raise ValueError(f"its object sizes are not of {len(SIZE_EDGES) + 1} bins")
    for name in ("record_bytes", "record_runs", "record_objects"):
        histogram = split[name]["histogram"]
        if len(histogram) > 64:
            raise ValueError(f"{name} has more than 64 bins")
