"""A finished build as one object: splits, classes, records, streams.

dataset = segdata.open("records")
dataset.classes                  # name -> id
dataset["train"][0].image()      # NumPy
dataset.read_semantic("train", batch_size=8)
"""

from __future__ import annotations

import base64
import html
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack, overload

from segdata.errors import OptionError
from segdata.label_map import LabelMap
from segdata.reading.options import ReadInstancesOptions, ReadSemanticOptions
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.shards.manifest import Manifest, OpenBuild, open_build
from segdata.split_names import SplitSlice, ordered_splits
from segdata.statistics.stats_file import read_stats
from segdata.storage.paths import Address, Location

_SHOWN_RECORDS = 6
_SHOWN_CLASSES = 12
_CELL_WIDTH = 180


class Dataset(Sequence[Record]):
    """A finished build. As a sequence: the records of all splits, one after another.

    In a notebook it shows its first records with their masks. Picklable; every access
    opens the shard it needs.

    Attributes:
      directory: The folder of the build.
      manifest: What was built, from what, with which hashes.
    """

    def __init__(self, directory: Address | OpenBuild) -> None:
        """Opens a build.

        Raises:
          OutputError: If `directory` holds no finished build.
          CorruptionError: If its manifest cannot be understood.
        """
        self._build = open_build(directory)
        self.directory: Location = self._build.directory
        self.manifest: Manifest = self._build.manifest

    @property
    def classes(self) -> LabelMap:
        """The classes: a mapping from name to id, with colours and source ids."""
        return self.manifest.label_map

    @cached_property
    def splits(self) -> Mapping[str, RecordSource]:
        """Split name -> its records, read at random and decoded with NumPy."""
        return {name: RecordSource(self._build, name) for name in self.manifest.splits}

    def only(self, *splits: str) -> Dataset:
        """The same build with some splits, or slices such as `train[:10%]`, alone.

        Raises:
          OptionError: If there is no such split, or one is given twice.
        """
        found = {SplitSlice.parse(text).name: self[text] for text in splits}
        if len(found) < len(splits):
            raise OptionError(f"splits are {', '.join(splits)}: expected each once.")
        part = Dataset(self._build)
        part.splits = {name: found[name] for name in ordered_splits(found)}
        return part

    @property
    def stats(self) -> Stats:
        """What `segdata stats` counted: `stats.json`, see docs/statistics.md.

        Raises:
          OutputError: If it was not run yet, or on another build.
        """
        return Stats(read_stats(self.directory))

    def read_semantic(
        self, split: str, /, **options: Unpack[ReadSemanticOptions]
    ) -> Any:
        """Reads images and label maps as a `tf.data` stream.

        Args:
          split: Name of the split, or a slice of it such as `train[:10%]`.
          options: As of `segdata.read_semantic`.

        Returns:
          A `tf.data.Dataset`; see there.
        """
        return self._stream("read_semantic", split, options)

    def read_instances(
        self, split: str, /, **options: Unpack[ReadInstancesOptions]
    ) -> Any:
        """Reads images, boxes, classes and instance masks as a `tf.data` stream.

        Args:
          split: Name of the split, or a slice of it such as `train[:10%]`.
          options: As of `segdata.read_instances`.

        Returns:
          A `tf.data.Dataset`; see there.
        """
        return self._stream("read_instances", split, options)

    def _stream(self, reader: str, split: str, options: Mapping[str, Any]) -> Any:
        # By name, when called: only reading needs TensorFlow.
        read = getattr(importlib.import_module("segdata"), reader)
        return read(self._build, split, **options)

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    @overload
    def __getitem__(self, index: str) -> RecordSource: ...
    def __getitem__(
        self, index: int | slice | str
    ) -> Record | list[Record] | RecordSource:
        """A record by position over all splits, several, or a split by name.

        A split may be sliced as in TensorFlow Datasets: `dataset["train[:10%]"]`.

        Raises:
          IndexError: If there is no such position.
          OptionError: If there is no such split.
          CorruptionError: If the record is damaged.
        """
        if isinstance(index, str):
            is_whole = index in self.manifest.splits
            return self.splits[index] if is_whole else RecordSource(self._build, index)
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if position >= 0:
            for source in self.splits.values():
                if position < len(source):
                    return source[position]
                position -= len(source)
        raise IndexError(f"record {index} of {len(self)}")

    def __iter__(self) -> Iterator[Record]:
        for source in self.splits.values():
            yield from source

    def __repr__(self) -> str:
        return f"segdata.open({str(self.directory)!r})  # {self._summary()}"

    def _summary(self) -> str:
        splits = [
            f"{name} {split.num_records}"
            for name, split in self.manifest.splits.items()
        ]
        objects = sum(
            split.counts.class_objects.total()
            for split in self.manifest.splits.values()
        )
        parts = [self.manifest.name, f"{len(self.classes)} classes", *splits]
        return ", ".join([*parts, *([f"{objects} objects"] if objects else [])])

    def _repr_html_(self) -> str:
        """The first records with their masks, for notebooks."""
        names = list(self.classes)
        more = len(names) - _SHOWN_CLASSES
        shown = ", ".join(names[:_SHOWN_CLASSES]) + (f" and {more} more" * (more > 0))
        return (
            f"<figure style='margin:0'><img alt='{html.escape(self._alt_text())}' "
            f"style='max-width:100%' src='data:image/jpeg;base64,{self._picture()}'>"
            f"<figcaption><b>{html.escape(str(self.directory))}</b>: "
            f"{html.escape(self._summary())}<br>{html.escape(shown)}</figcaption>"
            "</figure>"
        )

    def _picture(self) -> str:
        from segdata.drawing.records import picture_of
        from segdata.drawing.sheet import grid

        records = self[: min(_SHOWN_RECORDS, len(self))]
        pictures = [picture_of(record, self.classes) for record in records]
        sheet = grid(pictures, self.classes, cell_width=_CELL_WIDTH)
        file = io.BytesIO()
        sheet.save(file, "jpeg", quality=88)
        return base64.b64encode(file.getvalue()).decode("ascii")

    def _alt_text(self) -> str:
        return f"The first records of {self.manifest.name} with their masks"


class Stats(dict[str, Any]):
    """The contents of `stats.json`; it shows itself as a table."""

    def __repr__(self) -> str:
        rows = self._rows()
        return "\n".join(["<Stats of segdata stats>", *(" ".join(r) for r in rows)])

    def _repr_html_(self) -> str:
        cells = [
            "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            for row in self._rows()
        ]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{name}:",
                f"{split['images']:,} images,",
                f"{split['objects']:,} objects,",
                f"{len(split['semantic_classes'])} classes of pixels,",
                f"{len(split['object_classes'])} of objects,",
                f"{len(split['findings'])} kinds of findings",
            )
            for name, split in list(self["splits"].items())[:_SHOWN_CLASSES]
        ]


def open(directory: Address) -> Dataset:
    """Opens a finished build.

    Args:
      directory: Output of `segdata build`.

    Returns:
      The build: its splits, classes, records and streams.

    Raises:
      OutputError: If `directory` holds no finished build.
      CorruptionError: If its manifest cannot be understood.
    """
    return Dataset(directory)
