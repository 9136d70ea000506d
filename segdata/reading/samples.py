"""Samples as the streams give them, one by one, with NumPy: for PyTorch and Grain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, CorruptionError, OptionError
from segdata.images.decode import decode_as_tensorflow
from segdata.label_map import LabelMap
from segdata.reading import color
from segdata.reading.decoding import (
    GEOMETRY_DRAWS,
    PADDING_ID,
    Decoding,
    instances_decoding,
    semantic_decoding,
)
from segdata.reading.geometry import Geometry, choose_geometry
from segdata.reading.moving import move_image, move_map
from segdata.reading.options import (
    OrderOptions,
    ReadInstancesOptions,
    ReadSourceOptions,
)
from segdata.reading.record_source import RecordSource
from segdata.reading.sampler import NO_RECORD, Sampler, host_sampler
from segdata.reading.slots import Arrays, read_objects
from segdata.records.record import Record
from segdata.shards.manifest import OpenBuild, open_build
from segdata.storage.paths import Address


class SampleSource(Sequence[Arrays]):
    """The samples of a host, in order, each decoded when it is asked for.

    Sample `i` is what `read_semantic` or `read_instances` gives as the `i`th of its
    batches, with the same options: it is a data source for `grain.MapDataset` and a
    map-style dataset of PyTorch's, with which neither should shuffle again. Picklable
    and safe with worker processes and threads.

    Attributes:
      sampler: Which sample comes when.
    """

    def __init__(
        self, records: RecordSource, sampler: Sampler, decoding: Decoding
    ) -> None:
        """Made by `segdata.semantic_source` and `segdata.instances_source`."""
        if decoding.image.dtype == "bfloat16":
            raise OptionError(
                "dtype is 'bfloat16', which NumPy lacks: expected 'uint8' or 'float32'."
            )
        self._records, self._decoding = records, decoding
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __repr__(self) -> str:
        return f"SampleSource({self.sampler})"

    @overload
    def __getitem__(self, index: int) -> Arrays: ...
    @overload
    def __getitem__(self, index: slice) -> list[Arrays]: ...
    def __getitem__(self, index: int | slice) -> Arrays | list[Arrays]:
        """Reads and decodes samples by position.

        Raises:
          IndexError: If there is no such position.
          CorruptionError: If the record is damaged.
          ImageError: If its image cannot be decoded.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.sample(*self.sampler.place(index))

    @property
    def classes(self) -> LabelMap:
        """The classes of the dataset."""
        return self._records.manifest.label_map

    def sample(self, epoch: int, number: int) -> Arrays:
        """Reads and decodes a record as it is in an epoch; an empty one for -1."""
        if number == NO_RECORD:
            return self._empty()
        draws = None
        if self._decoding.is_random:
            draws = self._decoding.draws(epoch, number)
        return decode_sample(self._records[number], self._decoding, draws)

    def batches(self) -> Iterator[Arrays]:
        """The samples in batches: every array gets a first dimension."""
        for indices in self.sampler.batches():
            samples = [self[index] for index in indices]
            yield {name: np.stack([s[name] for s in samples]) for name in samples[0]}

    def _empty(self) -> Arrays:
        """What fills up a last batch: a black image without anything on it."""
        sample = {
            name: np.zeros_like(part)
            for name, part in decode_sample(
                self._records[0], self._decoding, self._decoding.draws(0, 0)
            ).items()
        }
        black = np.zeros((*self._decoding.size, 3), np.uint8)
        sample["image"] = _scaled(black, self._decoding)
        sample["image_id"] = np.array(PADDING_ID, np.int64)
        if "label_map" in sample:
            sample["label_map"] += np.uint8(self._decoding.padding_id or 0)
        if "scale" in sample:
            sample["scale"] += np.float32(1)
        if "object_id" in sample:
            sample["object_id"] -= 1
        return sample


def semantic_source(
    directory: Address | OpenBuild, split: str, **options: Unpack[ReadSourceOptions]
) -> SampleSource:
    """Images and label maps as a sequence of single samples, without TensorFlow.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      options: Those of `segdata.read_semantic`, but for `sample_weight`.

    Returns:
      The samples that `read_semantic` gives in batches, as dicts of NumPy arrays: label
      maps to the bit, images within a level of 255 (but for the last column of what
      is cut out of a JPEG).

    Raises:
      OutputError, CorruptionError: If it is no finished build, or a damaged one.
      OptionError: If the split is unknown, has no label maps, or an option is bad.
    """
    return _source(semantic_decoding, directory, split, options)


def instances_source(
    directory: Address | OpenBuild, split: str, **options: Unpack[ReadInstancesOptions]
) -> SampleSource:
    """Images and objects as a sequence of single samples, without TensorFlow.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      options: Those of `segdata.read_instances`.

    Returns:
      The samples that `read_instances` gives in batches, as dicts of NumPy arrays:
      masks, boxes and label maps to the bit, images as of `semantic_source`.

    Raises:
      OutputError, CorruptionError: If it is no finished build, or a damaged one.
      OptionError: If the split is unknown, has no objects, or an option is bad.
    """
    return _source(instances_decoding, directory, split, options)


def _source(
    decoding_of: Callable[..., Decoding],
    directory: Address | OpenBuild,
    split: str,
    options: Mapping[str, object],
) -> SampleSource:
    """The samples of a split, in the order and by the decoding of these options."""
    order, rest = _split_options(options)
    build = open_build(directory)
    decoding = decoding_of(build.manifest, split, seed=order.get("seed", 0), **rest)
    records = RecordSource(build, split)
    return SampleSource(records, host_sampler(len(records), **order), decoding)


def decode_sample(
    record: Record, decoding: Decoding, draws: NDArray[np.float64] | None
) -> Arrays:
    """Decodes one record.

    Args:
      record: The record.
      decoding: What it becomes.
      draws: Of `decoding.draws`; None where nothing is random.

    Raises:
      ImageError: If the image cannot be decoded.
      CorruptionError: If its masks or label map are not valid.
    """
    geometry = choose_geometry(
        record.height,
        record.width,
        decoding.size,
        decoding.resize,
        decoding.augmentation,
        None if draws is None else draws[:GEOMETRY_DRAWS],
    )
    sample: Arrays = {
        "image": _scaled(_image(record, geometry, decoding, draws), decoding),
        "image_id": np.array(int(record.source_id), np.int64),
    }
    if decoding.with_geometry:
        scale, offset = geometry.affine()
        sample["image_size"] = np.array([record.height, record.width], np.int32)
        sample["scale"] = np.asarray(scale, np.float32)
        sample["offset"] = np.asarray(offset, np.float32)
    try:
        if decoding.padding_id is not None:
            label_map = record.label_map()
            assert label_map is not None
            sample["label_map"] = move_map(label_map, geometry, decoding.padding_id)
        if decoding.instances is not None:
            sample |= read_objects(
                record, geometry, decoding.instances, decoding.keypoints
            )
    except AnnotationError as error:
        raise CorruptionError(
            f"record {record.key!r}: {error}", reason=error.reason
        ) from error
    return sample


def _image(
    record: Record,
    geometry: Geometry,
    decoding: Decoding,
    draws: NDArray[np.float64] | None,
) -> NDArray[np.uint8]:
    recolor = None
    if draws is not None and decoding.augmentation.changes_colors:
        recolor = partial(
            color.jitter_colors,
            augmentation=decoding.augmentation,
            draws=draws[GEOMETRY_DRAWS:],
        )
    pixels = decode_as_tensorflow(record.encoded, record.key)
    return move_image(pixels, geometry, decoding.image.pad_color, recolor)


def _scaled(image: NDArray[np.uint8], decoding: Decoding) -> NDArray[Any]:
    """Gives an image the dtype and scale that are asked for."""
    options = decoding.image
    if options.dtype == "uint8":
        return image
    pixels = image.astype(np.float32)
    if options.mean is None or options.std is None:
        return pixels
    std = np.array(options.std)
    factor = (1.0 / (255.0 * std)).astype(np.float32)
    shift = (np.array(options.mean) / std).astype(np.float32)
    scaled: NDArray[np.float32] = pixels * factor - shift
    return scaled


def _split_options(
    options: Mapping[str, object],
) -> tuple[OrderOptions, dict[str, Any]]:
    """What chooses the samples, and what is made of them."""
    names = OrderOptions.__annotations__
    order = {name: value for name, value in options.items() if name in names}
    rest = {name: value for name, value in options.items() if name not in names}
    return order, rest  # type: ignore[return-value]
