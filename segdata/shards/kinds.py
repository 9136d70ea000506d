"""Whether what was read from JSON has the types that its dataclass states.

A file that someone edited is refused where it is read, not where it is used.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import (
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from segdata.errors import short_repr


def check_kinds(item: Any) -> None:
    """Checks the fields of a dataclass, and of those within it.

    Raises:
      TypeError: If one has a value of another type; it names the field.
    """
    hints = _hints(type(item))  # type: ignore[arg-type]  # types are hashable
    for field in fields(item):
        value = getattr(item, field.name)
        if not _fits(value, hints[field.name]):
            got = type(value).__name__
            kind = str(field.type)
            raise TypeError(
                f"{field.name} has a wrong value: expected {kind}, got {got}"
            )


def check_value(value: Any, hint: Any, where: str) -> None:
    """Checks a value that was read from JSON, `TypedDict`s key by key.

    Raises:
      TypeError: If a part of it has another type than its hint states; it names the
        keys on the way there.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and is_typeddict(inner[0]):  # or None
        if value is not None:
            check_value(value, inner[0], where)
    elif is_typeddict(hint):
        _check_is(value, dict, where)
        for name, kind in _hints(hint).items():
            if name in value:
                check_value(value[name], kind, f"{where}.{name}".removeprefix("."))
            elif name in hint.__required_keys__:
                raise TypeError(f"{where or 'it'} has no {name!r}")
    elif origin in (dict, list):
        _check_is(value, origin, where)
        for key, one in value.items() if origin is dict else enumerate(value):
            check_value(one, inner[-1], f"{where}.{key}")
    elif not _fits(value, hint):
        raise TypeError(f"{where} is {short_repr(value)}: expected {hint}")


def _check_is(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        what = "an object" if kind is dict else "a list"
        raise TypeError(f"{where or 'it'} is {short_repr(value)}: expected {what}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is float and type(value) is int:
        return True
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is None:
        fits = isinstance(value, hint) and not (hint is int and type(value) is bool)
        if fits and is_dataclass(value):
            check_kinds(value)
        return fits
    if origin is Counter:
        inner = (*inner, int)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items()
        )
    if not isinstance(value, list | tuple):
        return False
    if origin is tuple and inner[-1] is not Ellipsis:
        pairs = zip(value, inner, strict=False)
        return len(value) == len(inner) and all(_fits(a, b) for a, b in pairs)
    return all(_fits(one, inner[0]) for one in value)
