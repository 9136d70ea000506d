"""Runs Python of the pages in this process: TensorFlow takes seconds to import."""

from __future__ import annotations

import contextlib
import io


def printed_by(code: str) -> list[str]:
    """The lines that a program prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "<page>", "exec"), {"__name__": "__main__"})
    return printed.getvalue().splitlines()
