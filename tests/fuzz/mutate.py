"""Changes JSON as JSON: bytes that are flipped at random hardly ever parse."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 1e308, 0.5, "", "a", "\0", "../a", "x" * 300),
    *([], {}, [0], [[]], {"a": 1}, {"": []}, [None, None]),
)


def mutate_json(data: bytes, size: int, seed: int) -> bytes | None:
    """The same JSON with one to three of its values changed; None if it is none.

    Args:
      data: What is changed.
      size: Most bytes of the result.
      seed: Decides what is changed.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 3)):
        value = _changed(value, rng)
    made = json.dumps(value).encode()
    return made if len(made) <= size else None


def _changed(value: Any, rng: random.Random) -> Any:
    """Goes down to a value at random, and changes it there."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return copy.deepcopy(rng.choice(ODD))
    keys = list(value) if isinstance(value, dict) else [*range(len(value))]
    key = rng.choice(keys)
    kind = rng.random()
    if kind < 0.1:
        del value[key]
    elif kind < 0.15 and isinstance(value, dict):
        value[rng.choice(["a", "", "id", "x" * 50])] = value.pop(key)
    elif kind < 0.2:
        value[key] = copy.deepcopy(value[rng.choice(keys)])
    else:
        value[key] = _changed(value[key], rng)
    return value
