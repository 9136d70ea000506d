"""Compiled from `_runs.c`; absent where nothing could compile it."""

from typing import Any

def encode(
    objects: list[Any], height: int, width: int
) -> tuple[bytes, list[int], int, int, int] | None: ...
def int64_list(values: Any) -> bytes: ...
