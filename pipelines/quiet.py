"""Keeps Beam from writing over the one line that a user reads. Imports no Beam."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Around `import apache_beam`, which warns of packages that are not used here.

    It does so on the root logger, by a function that gives it a handler if it has none.
    """
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(_is_of_use)
    try:
        yield
    finally:
        root.removeFilter(_is_of_use)
        root.removeHandler(handler)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("apitools not found")


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Around a run, unless a level was set: a failed step is reported by us, in a line.

    Beam would log its page several times.
    """
    logger = logging.getLogger("apache_beam")
    before = logger.level
    if before == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
