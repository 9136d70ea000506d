"""How the process that started workers elsewhere sees how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from segdata.pipelines import shards
from segdata.storage.paths import LocalPath


@dataclass
class Shard:
    name: str
    num_records: int = 5


def test_many_results_in_a_slow_store_are_looked_at_less_often(
    tmp_path: LocalPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looks = [0.0], []

    class Results(LocalPath):
        def glob(self, pattern: str) -> Any:
            clock[0] += 3.0
            looks.append(clock[0])
            return super().glob(pattern)

    monkeypatch.setattr(shards.time, "monotonic", lambda: clock[0])
    appeared = shards._Appeared(Results(tmp_path), [Shard("a"), Shard("b")])
    (tmp_path / "a.pickle").touch()
    done = 0
    for _ in range(240):
        clock[0] += 0.5
        done += appeared.new_records()
    assert done == 5
    assert len(looks) == 3  # in 129 seconds, of which they take 9
