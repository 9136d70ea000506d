"""`segdata check`: what a build of a folder would find. Builds nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from segdata.annotations import Annotation
from segdata.building.exif import sample_records, size_at_start
from segdata.building.options import BuildOptions
from segdata.building.plan import Plan, make_plan
from segdata.building.sources import source_files
from segdata.errors import RecordError, SegdataError
from segdata.formats import format_class
from segdata.formats.base import Scan
from segdata.formats.recognize import Candidate
from segdata.images.shrink import size_remark
from segdata.label_map import LabelMap
from segdata.split_names import DEFAULT_SPLIT
from segdata.storage import files
from segdata.storage.paths import Location
from segdata.validation import validate_annotation

_PROBED_IMAGES = 32


@dataclass(kw_only=True, slots=True)
class SourceReport:
    """What a build would find in a folder."""

    candidate: Candidate
    """The format, the folder, and the options that it takes."""
    layout: str = ""
    """The layout that was recognised, in one line."""
    label_map: LabelMap = field(default_factory=LabelMap)
    """The classes."""
    images: Counter[str] = field(default_factory=Counter)
    """Split -> images."""
    num_objects: int = 0
    """Objects that the annotations list; those in files of their own are not counted.
    """
    missing: dict[str, list[str]] = field(default_factory=dict)
    """What a file is, e.g. `label image` -> paths of those that are not there."""
    problems: list[str] = field(default_factory=list)
    """What a build would refuse, or leave out with `--on-error skip`."""
    warnings: tuple[str, ...] = ()
    """What a person should know."""
    num_shards: int = 0
    """Shards that are planned."""
    num_bytes: int = 0
    """Size of the source files."""

    @property
    def is_whole(self) -> bool:
        """Whether a build would leave nothing out."""
        return not self.problems and not any(self.missing.values())


def check_source(candidate: Candidate) -> SourceReport:
    """Scans and plans a folder as a build does, and notes every problem.

    No image is decoded. A problem that ends the scan is noted, and ends the report.
    """
    report = SourceReport(candidate=candidate)
    options = BuildOptions(on_error="skip")
    source = candidate.folder.listed()
    try:
        chosen = format_class(candidate.format)(**candidate.guess.options)
        scan = chosen.scan(source)
        report.layout, report.label_map = scan.layout, scan.label_map
        report.warnings = scan.warnings
        report.problems += map(str, scan.problems)
        watched = replace(scan, annotations=_watched(scan, report, source))
        plan = make_plan(watched, source, candidate.format, options)
    except SegdataError as error:
        report.problems.append(str(error))
        return report
    report.num_shards = len(plan.shards)
    report.num_bytes = sum(shard.num_bytes for shard in plan.shards)
    report.warnings += tuple(_size_remarks(plan, source))
    return report


def _size_remarks(plan: Plan, source: Location) -> Iterator[str]:
    """What is to be said of the size of most images, by a few of them."""
    sample = itertools.islice(sample_records(plan), _PROBED_IMAGES)
    found = source.each(lambda data: size_at_start(data["image"], source), sample)
    sizes = sorted(size[:2] for size in found if size)
    if sizes and (remark := size_remark(*sizes[len(sizes) // 2])):
        yield remark


def _watched(
    scan: Scan, report: SourceReport, source: Location
) -> Iterator[Annotation]:
    """The annotations of a scan, as they are counted."""
    for data in scan.annotations:
        report.images[data.get("split", DEFAULT_SPLIT)] += 1
        report.num_objects += len(data.get("objects") or ())
        try:
            validate_annotation(data)
        except RecordError as error:
            report.problems.append(str(error))
        for what, path in source_files(data):
            try:
                if files.file_state(source, path) is None:
                    report.missing.setdefault(what, []).append(path)
            except RecordError as error:
                report.problems.append(str(error))
        yield data
