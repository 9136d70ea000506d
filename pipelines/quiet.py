"""Keeps Beam from writing over the one line that a user reads. Imports no Beam."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Around `import apache_beam`, which warns of packages that are not used here."""
    root = logging.getLogger()
    root.addFilter(_is_of_use)
    try:
        with _no_new_handler():
            yield
    finally:
        root.removeFilter(_is_of_use)


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
        with _no_new_handler():
            yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _no_new_handler() -> Iterator[None]:
    """Beam calls `logging.warning`, which gives the root logger a handler for good."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
