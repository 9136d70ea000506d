"""Types of what JSON held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from segdata.errors import CorruptionError
from segdata.shards.kinds import check_kinds
from segdata.shards.manifest import read_manifest
from segdata.shards.receipt import read_receipt
from segdata.storage.paths import locate


@dataclass
class Inner:
    number: int = 0
    pair: tuple[int, int] | None = None


@dataclass
class Outer:
    names: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    counts: Counter[str] = field(default_factory=Counter)
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    "item",
    [
        Outer(),
        Outer(names=("a", "b"), inner=Inner(1, (1, 2)), counts=Counter(a=1)),
        Outer(by_name={"a": Inner()}, anything={"a": [1, None]}),
    ],
)
def test_right_types_are_taken(item: Outer) -> None:
    check_kinds(item)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Outer(names=("a", 1)), r"^names has a wrong value: expected tuple\[str, "),
        (Outer(names="ab"), r"^names has .*, got str$"),
        (Outer(names=None), r"^names has .*, got NoneType$"),
        (Outer(inner=Inner(True)), r"^number has .* int, got bool$"),
        (Outer(inner=Inner(1, (1,))), r"^pair has .*, got tuple$"),
        (Outer(inner=1), r"^inner has a wrong value: expected Inner, got int$"),
        (Outer(counts={"a": 1.5}), r"^counts has .* Counter\[str\], got dict$"),
        (Outer(by_name={"a": Inner("a")}), r"^number has .* int, got str$"),
        (Outer(by_name={1: Inner()}), r"^by_name has "),
        (Outer(anything=[]), r"^anything has .* Mapping\[str, Any\], got list$"),
    ],
)
def test_another_type_is_refused_by_its_field(item: Outer, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_kinds(item)


def test_edited_files_of_a_build_are_refused_by_name(
    camvid_build: Path, tmp_path: Path
) -> None:
    data = orjson.loads((camvid_build / "manifest.json").read_bytes())
    name = data["splits"]["val"]["shards"][0]["name"]
    data["splits"]["val"]["num_records"] = "12"
    (tmp_path / "manifest.json").write_bytes(orjson.dumps(data))
    with pytest.raises(CorruptionError, match=r"TypeError num_records has a wrong va"):
        read_manifest(tmp_path)
    data = orjson.loads((camvid_build / f"index/{name}.json").read_bytes())
    data["records"]["offset"][0] = "0"
    (tmp_path / "index").mkdir()
    (tmp_path / f"index/{name}.json").write_bytes(orjson.dumps(data))
    with pytest.raises(CorruptionError, match=r"is damaged: offset has .*str"):
        read_receipt(locate(tmp_path), name)
