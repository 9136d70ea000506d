"""The blocks of docs/reading.md, and the folder that they run in."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from segdata.cli import cli

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reading.md").read_text("utf-8")
NOT_IN_DEV = ("grain", "jax", "nvidia.dali", "official", "tensorflow_datasets", "torch")
"""Packages that the ordinary tests do without."""


@dataclass(frozen=True)
class Block:
    """One Python block."""

    heading: str
    """The section that it stands in, and which one there it is."""
    text: str

    @property
    def packages(self) -> list[str]:
        """Which of `NOT_IN_DEV` it imports."""
        found: set[str] = set()
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
        return [
            p for p in NOT_IN_DEV if any(f"{f}.".startswith(f"{p}.") for f in found)
        ]

    @property
    def promised(self) -> list[str]:
        """What its comments say that a line prints."""
        return re.findall(r"print\(.*\)  # (.*)", self.text)


def blocks() -> list[Block]:
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        texts = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        found += [Block(f"{heading} {i}", text) for i, text in enumerate(texts, 1)]
    return found


def build_demo(folder: Path) -> None:
    """Runs the page's shell block."""
    [commands] = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    with contextlib.chdir(folder):
        for command in commands.splitlines():
            program, *arguments = shlex.split(command)
            assert program == "segdata"
            result = CliRunner().invoke(cli, arguments)
            assert result.exit_code == 0, result.output


def run_block(block: Block, folder: Path, python: str = sys.executable) -> list[str]:
    """Runs a block as a file of its own and returns the lines that it prints."""
    done = subprocess.run(
        [python, _write(block, folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def run_here(block: Block, folder: Path) -> list[str]:
    """Runs a block in this process, which has TensorFlow already."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        runpy.run_path(str(_write(block, folder)))
    return printed.getvalue().splitlines()


def _write(block: Block, folder: Path) -> Path:
    program = folder / f"{re.sub(r'[^a-zA-Z0-9]+', '_', block.heading)}.py"
    program.write_text(block.text)
    return program


def assert_prints_what_it_promises(block: Block, printed: list[str]) -> None:
    for line in block.promised:
        assert line in printed
