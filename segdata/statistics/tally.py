"""Per-split statistics as sums that can be merged in any order.

Everything is a whole number, or a set that keeps its smallest members: tallies of the
same records are equal whatever workers counted which, and in which order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError
from segdata.identity import key_hash
from segdata.statistics.columns import RecordColumns
from segdata.statistics.keypoints import KeypointTally
from segdata.statistics.objects import ObjectColumns, is_long, join_objects, odd_objects

Int64Array = NDArray[np.int64]

SIZE_EDGES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Sides of squares, in pixels, between the bins of object sizes. COCO calls an object
small below 32 x 32 and large from 96 x 96 on."""
_AREA_EDGES = np.array([side * side for side in SIZE_EDGES], np.float64)

MAX_EXAMPLES = 12
"""Records named for each class and each finding."""
_LEVELS = np.arange(256)
_MEAN_SCALE = 1000  # means of images are summed as whole thousandths


@dataclass(kw_only=True, slots=True)
class Distribution:
    """Whole numbers: their range, their sum, and how many have how many bits."""

    count: int = 0
    total: int = 0
    lowest: int = 0
    highest: int = 0
    by_bits: Int64Array = field(default_factory=lambda: np.zeros(64, np.int64))

    def add(self, value: int) -> None:
        """Counts one number, at least 0."""
        self.lowest = min(self.lowest, value) if self.count else value
        self.highest = max(self.highest, value)
        self.count += 1
        self.total += value
        self.by_bits[value.bit_length()] += 1

    def merge(self, other: Distribution) -> None:
        """Adds what another counted."""
        if self.count and other.count:
            self.lowest = min(self.lowest, other.lowest)
        elif other.count:
            self.lowest = other.lowest
        self.highest = max(self.highest, other.highest)
        self.count += other.count
        self.total += other.total
        self.by_bits += other.by_bits


@dataclass(kw_only=True, slots=True)
class Examples:
    """How many there are of something, and some of them: those of the smallest hash."""

    count: int = 0
    chosen: list[tuple[int, str, int]] = field(default_factory=list)
    """`(hash, key, position in the split)`, sorted."""

    def add(self, hashed: int, key: str, position: int, count: int = 1) -> None:
        """Counts things of one record."""
        self.count += count
        if len(self.chosen) < MAX_EXAMPLES or hashed < self.chosen[-1][0]:
            self._keep([*self.chosen, (hashed, key, position)])

    def merge(self, other: Examples) -> None:
        """Adds what another counted."""
        self.count += other.count
        self._keep([*self.chosen, *other.chosen])

    def _keep(self, candidates: Iterable[tuple[int, str, int]]) -> None:
        self.chosen = sorted(candidates)[:MAX_EXAMPLES]


@dataclass(kw_only=True, slots=True)
class ChannelTally:
    """Sums over the pixels of decoded images, by channel: red, green, blue."""

    num_records: int = 0
    num_pixels: int = 0
    sums: list[int] = field(default_factory=lambda: [0] * 3)
    squares: list[int] = field(default_factory=lambda: [0] * 3)
    mean_sums: list[int] = field(default_factory=lambda: [0] * 3)
    """Sums of the images' means, in thousandths: how much images differ."""
    mean_squares: list[int] = field(default_factory=lambda: [0] * 3)

    def add(self, counts: Int64Array) -> None:
        """Adds an image: `[3, 256] int64`, pixels of each channel at each level."""
        num_pixels = int(counts[0].sum())
        sums = (counts @ _LEVELS).tolist()
        squares = (counts @ (_LEVELS * _LEVELS)).tolist()
        for channel in range(3):
            self.sums[channel] += sums[channel]
            self.squares[channel] += squares[channel]
            mean = sums[channel] * _MEAN_SCALE // num_pixels
            self.mean_sums[channel] += mean
            self.mean_squares[channel] += mean * mean
        self.num_records += 1
        self.num_pixels += num_pixels

    def merge(self, other: ChannelTally) -> None:
        """Adds what another counted."""
        self.num_records += other.num_records
        self.num_pixels += other.num_pixels
        for name in ("sums", "squares", "mean_sums", "mean_squares"):
            both = zip(getattr(self, name), getattr(other, name), strict=True)
            setattr(self, name, [one + two for one, two in both])


class ClassTally:
    """Counts by class id, 0 to `num_ids - 1`.

    Attributes:
      pixels: Label-map pixels.
      pixel_images: Images whose label map has the class.
      present_pixels: Pixels of those images, of whatever class.
      objects: Objects.
      crowds: Those of them that are crowds.
      object_images: Images with at least one such object.
      mask_pixels: Pixels of the objects' masks; masks may overlap.
      sizes: `[num_ids, bins]` objects by the size of their area, see `SIZE_EDGES`.
      examples: `semantic` or `objects`, and class id -> some records that show it.
    """

    _ARRAYS = (
        "pixels",
        "pixel_images",
        "present_pixels",
        "objects",
        "crowds",
        "object_images",
        "mask_pixels",
        "sizes",
    )

    def __init__(self, num_ids: int) -> None:
        for name in self._ARRAYS:
            shape = (num_ids, len(SIZE_EDGES) + 1) if name == "sizes" else (num_ids,)
            setattr(self, name, np.zeros(shape, np.int64))
        self.num_ids = num_ids
        self.examples: dict[tuple[str, int], Examples] = {}

    pixels: Int64Array
    pixel_images: Int64Array
    present_pixels: Int64Array
    objects: Int64Array
    crowds: Int64Array
    object_images: Int64Array
    mask_pixels: Int64Array
    sizes: Int64Array

    def add_label_map(self, record: RecordColumns) -> Int64Array:
        """Counts a label map; returns the class ids in it."""
        assert record.label_values is not None
        # Exact: float64 counts whole numbers up to 2**53.
        counts = np.bincount(
            record.label_values, record.label_lengths, self.num_ids
        ).astype(np.int64)
        present = np.flatnonzero(counts)
        self.pixels += counts
        self.pixel_images[present] += 1
        self.present_pixels[present] += record.height * record.width
        return present

    def add_objects(self, objects: ObjectColumns) -> list[list[int]]:
        """Counts the objects of some records; returns each record's class ids."""
        labels = objects.labels
        self.objects += np.bincount(labels, minlength=self.num_ids)
        self.crowds += np.bincount(labels[objects.crowds], minlength=self.num_ids)
        # Not by weights: float64 would round sums of more than 2**53 pixels.
        np.add.at(self.mask_pixels, labels, objects.mask_pixels)
        bins = np.searchsorted(_AREA_EDGES, objects.areas, side="right")
        np.add.at(self.sizes, (labels, bins), 1)
        pairs = np.unique(objects.owners * self.num_ids + labels)
        owners, present = np.divmod(pairs, self.num_ids)
        self.object_images += np.bincount(present, minlength=self.num_ids)
        ids: list[list[int]] = [[] for _ in range(objects.num_records)]
        for owner, class_id in zip(owners.tolist(), present.tolist(), strict=True):
            ids[owner].append(class_id)
        return ids

    def merge(self, other: ClassTally) -> None:
        """Adds what another counted."""
        for name in self._ARRAYS:
            getattr(self, name).__iadd__(getattr(other, name))
        for table_and_id, examples in other.examples.items():
            self.examples.setdefault(table_and_id, Examples()).merge(examples)


class SplitTally:
    """Everything that is counted of a split.

    Attributes:
      num_records: Records.
      num_empty: Records without objects and without a label map of several classes.
      box_only: Objects without a mask.
      sizes: `(width, height)` -> images.
      record_bytes: Framed size of records.
      record_runs: Runs of label map and masks in a record.
      record_objects: Objects in a record.
      classes: Counts by class.
      keypoints: Counts of keypoints.
      channels: Sums over pixels.
      findings: Name -> what looks odd; see `segdata.statistics.stats_file.FINDINGS`.
    """

    def __init__(self, num_ids: int) -> None:
        self.num_records = 0
        self.num_empty = 0
        self.box_only = 0
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.record_bytes = Distribution()
        self.record_runs = Distribution()
        self.record_objects = Distribution()
        self.classes = ClassTally(num_ids)
        self.keypoints = KeypointTally(num_ids)
        self.channels = ChannelTally()
        self.findings: dict[str, Examples] = {}

    def add(self, record: RecordColumns, num_bytes: int, position: int) -> None:
        """Counts a record but its pixels; see `add_all`."""
        self.add_all([(record, num_bytes, position)])

    def add_all(self, records: Sequence[tuple[RecordColumns, int, int]]) -> None:
        """Counts records but their pixels; many at once cost less each.

        Args:
          records: Each with its framed size and its place in the split, from 0.

        Raises:
          CorruptionError: If one has a class that the label map has not, or another
            number of keypoints than the others.
        """
        if not records:
            return
        for record, _, _ in records:
            self._check_ids(record)
        objects = join_objects([record for record, _, _ in records])
        self.box_only += int((objects.num_runs == 0).sum())
        object_ids = self.classes.add_objects(objects)
        self.keypoints.add(objects)
        odd = odd_objects(objects)
        for index, (record, num_bytes, position) in enumerate(records):
            self._add_sizes(record, num_bytes)
            present: dict[str, list[int]] = {"objects": object_ids[index]}
            if record.label_values is not None:
                present["semantic"] = self.classes.add_label_map(record).tolist()
            self.num_empty += not object_ids[index] and (
                len(present.get("semantic", ())) < 2
            )
            example = key_hash(record.key, 0, "examples"), record.key, position
            for table, ids in present.items():
                for class_id in ids:
                    place = self.classes.examples.setdefault(
                        (table, class_id), Examples()
                    )
                    place.add(*example)
            for name, counts in odd.items():
                if counts[index]:
                    found = self.findings.setdefault(name, Examples())
                    found.add(*example, counts[index])
            if is_long(record):
                self.findings.setdefault("long-image", Examples()).add(*example)

    def _add_sizes(self, record: RecordColumns, num_bytes: int) -> None:
        self.num_records += 1
        self.sizes[record.width, record.height] += 1
        self.record_bytes.add(num_bytes)
        num_runs = int(record.num_runs.sum()) + len(record.label_lengths)
        self.record_runs.add(num_runs)
        self.record_objects.add(len(record.labels))

    def _check_ids(self, record: RecordColumns) -> None:
        ids = record.labels
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < (
            self.classes.num_ids
        ):
            raise CorruptionError(
                f"record {record.key!r} has an object of unknown class id: expected 1 "
                f"to {self.classes.num_ids - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}. `segdata verify` tells more."
            )
        values = record.label_values
        if values is not None and int(values.max(initial=0)) >= self.classes.num_ids:
            raise CorruptionError(
                f"record {record.key!r} has a label map: its dataset has no classes of "
                "pixels. `segdata verify` tells more."
            )

    def merge(self, other: SplitTally) -> None:
        """Adds what another counted."""
        self.num_records += other.num_records
        self.num_empty += other.num_empty
        self.box_only += other.box_only
        self.sizes.update(other.sizes)
        for name in ("record_bytes", "record_runs", "record_objects"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("classes", "keypoints", "channels"):
            getattr(self, name).merge(getattr(other, name))
        for name, found in other.findings.items():
            self.findings.setdefault(name, Examples()).merge(found)
