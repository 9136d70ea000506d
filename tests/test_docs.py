"""README and the page on building are tested: they are short, their examples run."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from running import printed_by

from segdata.formats import FORMATS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BUILDING = (ROOT / "docs/building.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README + BUILDING, re.DOTALL)


@pytest.fixture
def demo_folder(
    camvid_source: Path,
    camvid_build: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The current folder looks as after `make demo`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/street").symlink_to(camvid_source)
    (tmp_path / "demo/records").symlink_to(camvid_build)
    return tmp_path


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.usefixtures("demo_folder")
def test_first_example_prints_what_its_comments_say() -> None:
    printed = printed_by(EXAMPLES[0])
    promised = re.findall(r"# (\(.*?\)) ", EXAMPLES[0])
    assert printed == promised == ["(8, 224, 224, 3)", "(8, 224, 224)", "(8,)"]


@pytest.mark.parametrize("example", EXAMPLES[1:])
@pytest.mark.usefixtures("demo_folder")
def test_other_examples_print_what_their_comments_say(example: str) -> None:
    assert printed_by(example) == re.findall(r"print\(.*?\)  # (.*)", example)


def test_example_scripts_run(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    script = str(ROOT / "examples/read_batches.py")
    monkeypatch.setattr(sys, "argv", [script, "demo/records", "batch.png"])
    runpy.run_path(script, run_name="__main__")
    assert "read 40 images" in capsys.readouterr().out
    assert (demo_folder / "batch.png").read_bytes().startswith(b"\x89PNG")


def test_readme_is_read_in_three_minutes() -> None:
    assert len(README.split()) <= 800


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_in_the_readme_and_on_its_page(name: str) -> None:
    assert f"| `{name}` |" in README
    assert f"segdata build {name} SOURCE OUT" in BUILDING


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_of_the_readme_exist(target: str) -> None:
    assert f"make {target} " in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ci_only_calls_make_test() -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert [line for line in lines if not line.startswith(("#", "set "))] == [
        "make test"
    ]
