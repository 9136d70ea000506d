"""Byte sizes as people write and read them."""

from __future__ import annotations

import re

import click

_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}  # fmt: skip


_LEAST_WITHOUT_UNIT = 10**6  # less is more likely meant in MB


class ByteSize(click.ParamType[int]):
    """A size such as `128MiB`, `500MB` or `1000000`."""

    name = "size"

    def convert(
        self,
        value: str | int,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Returns the size in bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        if match is None or match[2].upper() not in _UNITS:
            self.fail(
                f"{value!r} is no size: expected e.g. 128MiB or 500MB.", param, ctx
            )
        size = float(match[1]) * _UNITS[match[2].upper()]
        if not 1 <= size < 1 << 63:
            self.fail(
                f"{value!r} is out of range: expected 1 byte to 8 EiB.", param, ctx
            )
        if not match[2] and size < _LEAST_WITHOUT_UNIT:
            self.fail(
                f"{value!r} has no unit: expected e.g. {match[1]}MiB; {match[1]}B are "
                "so many bytes.",
                param,
                ctx,
            )
        return int(size)


def format_bytes(num_bytes: int) -> str:
    """`12345678` -> `11.8 MiB`."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
