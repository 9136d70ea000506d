from __future__ import annotations

import io
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from segdata.errors import CorruptionError
from segdata.trainers.models.encoders.torch_weights import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """What stands for a storage of PyTorch while the file is written."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class Tensor:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        import torch._utils  # the module of `fake_torch`

        return torch._utils._rebuild_tensor_v2, (*self.parts, False, OrderedDict())


@pytest.fixture
def fake_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that pickle can write as PyTorch's own."""

    def _rebuild_tensor_v2(*parts: Any) -> None:
        """Nobody calls it."""

    torch, inner = ModuleType("torch"), ModuleType("torch._utils")
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    torch._utils, inner._rebuild_tensor_v2 = inner, _rebuild_tensor_v2
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        torch = sys.modules["torch"]
        is_float = obj.values.dtype == np.float32
        kind = torch.FloatStorage if is_float else torch.LongStorage
        return ("storage", kind, obj.key, "cpu", len(obj.values), None)


def written(path: Path, tensors: Any, *storages: Storage, magic: int = MAGIC) -> Path:
    """A file as PyTorch wrote it before 1.6."""
    file = io.BytesIO()
    for small in (magic, 1001, {"little_endian": True}):
        pickle.dump(small, file, 2)
    Pickler(file, 2).dump(tensors)
    pickle.dump([storage.key for storage in storages], file, 2)
    for storage in storages:
        file.write(struct.pack("<q", len(storage.values)) + storage.values.tobytes())
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.usefixtures("fake_torch")
def test_strides_and_offsets_say_where_numbers_lie(tmp_path: Path) -> None:
    floats = Storage("a", np.arange(30, dtype=np.float32))
    whole = Storage("b", np.array([7], np.int64))
    tensors = OrderedDict(
        plain=Tensor(floats, 0, (2, 3), (3, 1)),
        transposed=Tensor(floats, 6, (3, 2), (1, 3)),
        apart=Tensor(floats, 12, (2, 2), (10, 2)),
        scalar=Tensor(whole, 0, (), ()),
    )
    found = read_state_dict(written(tmp_path / "a.pth", tensors, floats, whole))
    assert list(found) == ["plain", "transposed", "apart", "scalar"]
    assert found["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["transposed"].tolist() == [[6, 9], [7, 10], [8, 11]]
    assert found["apart"].tolist() == [[12, 14], [22, 24]]
    assert found["plain"].dtype == np.float32
    assert found["scalar"] == 7
    assert found["scalar"].dtype == np.int64


@pytest.mark.usefixtures("fake_torch")
@pytest.mark.parametrize(
    "parts",
    [(0, (2, 3), (3, 2)), (-1, (2,), (1,)), (0, (2,), (-1,)), (5, (2,), (1,))],
)
def test_tensor_out_of_its_storage_is_refused(tmp_path: Path, parts: Any) -> None:
    floats = Storage("a", np.zeros(6, np.float32))
    tensors = OrderedDict(w=Tensor(floats, *parts))
    with pytest.raises(CorruptionError, match=r"a.pth is no .* outside of its storage"):
        read_state_dict(written(tmp_path / "a.pth", tensors, floats))


class Harm:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("harm"),)


def test_pickle_that_names_anything_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorruptionError, match=r"a.pth is no .*: it names "):
        read_state_dict(written(tmp_path / "a.pth", {"w": Harm()}))
    assert not Path("harm").exists()


@pytest.mark.usefixtures("fake_torch")
def test_damaged_file_is_refused(tmp_path: Path) -> None:
    floats = Storage("a", np.zeros(6, np.float32))
    tensors = OrderedDict(w=Tensor(floats, 0, (6,), (1,)))
    path = written(tmp_path / "a.pth", tensors, floats, magic=1)
    with pytest.raises(CorruptionError, match=r"a.pth .*its first number is another"):
        read_state_dict(path)
    whole = written(path, tensors, floats).read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptionError, match=r"a.pth is no state dict"):
            read_state_dict(path)
