from __future__ import annotations

import io
import logging
import sys

import pytest

from segdata.progress import display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_log_lines_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    handler, logger = logging.StreamHandler(terminal), logging.getLogger()
    logger.addHandler(handler)
    try:
        with display(10, "training") as advance:
            advance(3)
            logger.warning("epoch 1 of 3")
        assert handler.stream is terminal
    finally:
        logger.removeHandler(handler)
    text = terminal.getvalue()
    before, after = text.split("epoch 1 of 3")
    assert before.endswith("\x1b[2K")  # the bar's line is cleared first
    assert after.startswith("\n")
    assert "training" in after  # and the bar is drawn anew below


def test_slow_work_is_not_told_as_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 100.0, 200.0])
    monkeypatch.setattr("segdata.progress.time.monotonic", lambda: next(times))
    with display(100, "training", every=60) as advance:
        advance(4)
        advance(4)
    assert capsys.readouterr().err.splitlines() == [
        "training: 4 of 100 images, 0.04 images/s, 2400 s left",
        "training: 8 of 100 images, 0.04 images/s, 2300 s left",
    ]
