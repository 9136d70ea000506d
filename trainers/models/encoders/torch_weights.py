"""A state dict of PyTorch as NumPy arrays, without PyTorch. Free of Keras.

Reads the format that `torch.save` wrote before version 1.6: three small pickles, the
state dict as a pickle that names storages, the storages' keys, then their numbers.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


class _Tensor(NamedTuple):
    """Where the numbers of a tensor lie in its storage, all in numbers, not bytes."""

    storage: str
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a state dict; the pickle in it can call nothing.

    Args:
      path: A file of `torch.save(model.state_dict(), path)`.

    Returns:
      Name -> array of its own memory, float32 or int64.

    Raises:
      CorruptionError: If it is no such file, is damaged, or names anything else.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (
        *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError),
        *(AttributeError, OverflowError, pickle.UnpicklingError),
    ) as error:
        raise CorruptionError(
            f"{path} is no state dict in PyTorch's format before 1.6, or is damaged: "
            f"{error}."
        ) from error


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if _Unpickler(file).load() != _MAGIC:
        raise ValueError("its first number is another")
    for _ in range(2):  # protocol version, sizes of types
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        dtype = unpickler.storages[key]
        [size] = np.frombuffer(file.read(8), "<i8")
        storages[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype, size)
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _array(
    tensor: _Tensor, storages: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32] | NDArray[np.int64]:
    """A tensor's numbers. Its strides say where: they need not lie in order."""
    _, offset, shape, strides = tensor
    numbers = storages[tensor.storage]
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or not all(shape) or last >= len(numbers):
        raise ValueError(f"a tensor of shape {list(shape)} lies outside of its storage")
    steps = [stride * numbers.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps)
    return view.copy()


class _Unpickler(pickle.Unpickler):
    """Knows ordered dicts and tensors; refuses everything else that a pickle names."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name."""
        if module == "torch" and name in _DTYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *parts: _Tensor(*parts[:4])
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        """Notes the type of a storage, whose numbers follow the pickle."""
        _, kind, key, *_ = pid
        self.storages[key] = _DTYPES[kind]
        return str(key)
