"""Whatever the fuzzer once found: each file is parsed again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FOUND = sorted(path for path in HERE.glob("found/*/*") if path.is_file())


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(HERE)
    import targets

    yield targets
    del sys.modules["targets"]


@pytest.mark.parametrize(
    "path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_was_found_is_answered(path: Path, targets) -> None:
    with targets.held(path.parent.name) as run:
        run(path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"\0", b"{}", b"\xff" * 100])
def test_targets_answer_nonsense(data: bytes, targets) -> None:
    for name in targets.TARGETS:
        with targets.held(name) as run:
            run(data)


@pytest.mark.parametrize("name", ["manifest", "receipt"])
def test_json_that_was_edited_is_refused_where_it_is_read(
    name: str, targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mutate import mutate_json
    from seeds import seeds_of

    seeds = list(seeds_of(name, tmp_path))
    with targets.held(name) as run:
        for number in range(300):
            changed = mutate_json(seeds[number % len(seeds)], 1 << 16, number)
            run(changed or b"")
