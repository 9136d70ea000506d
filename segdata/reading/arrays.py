"""Records as dicts of NumPy arrays, for loaders that are not TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, CorruptionError
from segdata.masks import arrays as mask_arrays
from segdata.reading.options import check_choice, read_size
from segdata.records.record import Record
from segdata.records.validate import check_dense_masks

MaskArrays = Literal["dense", "crops", "none"]
Transform = Callable[[dict[str, NDArray[Any]]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayOptions:
    """Which arrays a record becomes; see `RecordSource.arrays`."""

    masks: MaskArrays = "dense"
    """Object masks at full size, or sampled over each box, or none."""
    crop_size: tuple[int, int] = (28, 28)
    """Height and width of the crops."""

    def __post_init__(self) -> None:
        check_choice("masks", self.masks, get_args(MaskArrays))
        read_size("crop_size", self.crop_size)


def record_arrays(
    record: Record, options: ArrayOptions, num_keypoints: int = 0
) -> dict[str, NDArray[Any]]:
    """Decodes a record.

    Args:
      record: The record.
      options: Which arrays.
      num_keypoints: Keypoints of each object of the dataset.

    Returns:
      What `RecordSource.arrays` gives for it.

    Raises:
      ImageError: If the image cannot be decoded.
      CorruptionError: If its masks or label map are not valid.
    """
    found: dict[str, NDArray[Any]] = {
        "image": np.require(record.image(), requirements="W"),
        "image_id": np.array(int(record.source_id), np.int64),
        **_object_arrays(record),
    }
    if num_keypoints:
        shape = (len(record.objects), num_keypoints, 3)
        keypoints = [item.keypoints for item in record.objects]
        found["keypoints"] = np.array(keypoints, np.float32).reshape(shape)
    try:
        label_map = record.label_map()
        if options.masks != "none":
            found["masks"] = _masks(record, options)
    except AnnotationError as error:
        raise CorruptionError(
            f"record {record.key!r}: {error}", reason=error.reason
        ) from error
    if label_map is not None:
        found["label_map"] = label_map
    return found


def _object_arrays(record: Record) -> dict[str, NDArray[Any]]:
    objects = record.objects
    return {
        "boxes": np.array([o.box for o in objects], np.float32).reshape(-1, 4),
        "classes": np.array([o.label for o in objects], np.int32),
        "crowd": np.array([o.is_crowd for o in objects], np.bool_),
        "has_mask": np.array([len(o.runs) > 0 for o in objects], np.bool_),
        "area": np.array([o.area for o in objects], np.float32),
        "object_id": np.array([o.id for o in objects], np.int64),
    }


def _masks(record: Record, options: ArrayOptions) -> NDArray[np.uint8]:
    runs = [item.runs for item in record.objects]
    if options.masks == "dense":
        check_dense_masks(record)
        return mask_arrays.decode_masks(runs, record.height, record.width)
    # Not the float32 of the result: rounding to subpixels must agree with the graph's.
    boxes = np.array([item.box for item in record.objects], np.float64).reshape(-1, 4)
    return mask_arrays.crop_masks(
        runs, boxes, options.crop_size, record.height, record.width
    )


class ArraySource(Sequence[Any]):
    """A sequence of records as dicts of arrays; made by `RecordSource.arrays`.

    Picklable (if the transform is) and safe with worker processes and threads, as its
    source is: it plugs into `torch.utils.data.DataLoader` and
    `grain.MapDataset.source`.
    """

    def __init__(
        self,
        records: Sequence[Record],
        options: ArrayOptions,
        transform: Transform | None,
        num_keypoints: int,
    ) -> None:
        """Wraps records; see `RecordSource.arrays`."""
        self._records = records
        self._options = options
        self._transform = transform
        self._num_keypoints = num_keypoints

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Reads and decodes by position.

        Raises:
          IndexError: If there is no such position.
          CorruptionError: If the record is damaged.
          ImageError: If its image cannot be decoded.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        record = self._records[index]
        arrays = record_arrays(record, self._options, self._num_keypoints)
        return arrays if self._transform is None else self._transform(arrays)
