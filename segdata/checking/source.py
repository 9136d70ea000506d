"""`segdata check`: what a build of a folder would find. Builds nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from segdata.annotations import Annotation, record_key
from segdata.building.exif import size_at_start
from segdata.building.options import BuildOptions
from segdata.building.plan import planned_shards
from segdata.building.sources import source_files
from segdata.errors import RecordError, SegdataError
from segdata.formats import format_class
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
    """Scans a folder as a build does, and notes every problem; plans nothing.

    No image is decoded. A problem that ends the scan is noted, and ends the report.
    """
    report = SourceReport(candidate=candidate)
    source = candidate.folder.listed()
    try:
        chosen = format_class(candidate.format)(**candidate.guess.options)
        scan = chosen.scan(source)
        report.layout, report.label_map = scan.layout, scan.label_map
        report.warnings = scan.warnings
        report.problems += map(str, scan.problems)
        counted = _Counted(report, source)
        for data in scan.annotations:
            counted.add(data)
        if not report.images:
            report.problems.append(f"no images were found in {source} ({scan.layout}).")
        report.num_shards = counted.num_shards
    except SegdataError as error:
        report.problems.append(str(error))
        return report
    report.num_bytes = sum(counted.num_bytes.values())
    report.warnings += tuple(counted.size_remarks())
    return report


class _Counted:
    """What the records of a scan come to, one after another: none is kept."""

    def __init__(self, report: SourceReport, source: Location) -> None:
        self._report, self._source = report, source
        self._keys: set[int] = set()
        self._sample: list[str] = []
        self._random = random.Random(0)
        self.num_bytes: Counter[str] = Counter()
        """Split -> size of its source files."""

    def add(self, data: Annotation) -> None:
        """Counts one record, and notes what is wrong with it."""
        report, split = self._report, data.get("split", DEFAULT_SPLIT)
        report.images[split] += 1
        report.num_objects += len(data.get("objects") or ())
        try:
            validate_annotation(data)
        except RecordError as error:
            report.problems.append(str(error))
        for what, path in source_files(data):
            try:
                state = files.file_state(self._source, path)
            except RecordError as error:
                report.problems.append(str(error))
                continue
            if state is None:
                report.missing.setdefault(what, []).append(path)
            else:
                self.num_bytes[split] += state[0]
        self._add_key(record_key(data))
        # Each image is as likely as any other to be looked at.
        place = self._random.randrange(report.images.total())
        if len(self._sample) < _PROBED_IMAGES:
            self._sample.append(data["image"])
        elif place < _PROBED_IMAGES:
            self._sample[place] = data["image"]

    def _add_key(self, key: str) -> None:
        if hash(key) in self._keys:
            self._report.problems.append(
                f"several images have the key {key!r}: rename all but one of them."
            )
        self._keys.add(hash(key))

    @property
    def num_shards(self) -> int:
        """Shards that a build without options would write."""
        options = BuildOptions()
        return sum(
            planned_shards(split, count, self.num_bytes[split], options)
            for split, count in self._report.images.items()
        )

    def size_remarks(self) -> Iterator[str]:
        """What is to be said of the size of most images, by a few of them."""
        source = self._source
        found = source.each(lambda path: size_at_start(path, source), self._sample)
        sizes = sorted(size[:2] for size in found if size)
        if sizes and (remark := size_remark(*sizes[len(sizes) // 2])):
            yield remark
