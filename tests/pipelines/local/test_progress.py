from __future__ import annotations

import contextlib
import tempfile

import pytest

from segdata.pipelines.local.progress import Listener, Reporter


def test_counts_arrive_however_long_the_temporary_folders_name_is(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("t" * 120)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with contextlib.closing(Listener()) as listener:
        with Reporter(listener.address) as reporter:
            reporter.add(3)
            reporter.add(4)
        assert listener.wait(5) + listener.wait(5) == 7
        assert listener.wait(0.01) == 0
    assert not any(folder.iterdir())


def test_words_of_others_are_no_counts() -> None:
    with contextlib.closing(Listener()) as listener, Reporter(None) as other:
        other._socket.sendto(b"nonsense", listener.address)
        assert listener.wait(5) == 0
