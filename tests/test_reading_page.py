"""docs/reading.md is tested: every block of it runs, if its packages are here."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import reading_page
from reading_page import Block

BLOCKS = reading_page.blocks()
OURS = [block for block in BLOCKS if not block.packages]
OTHERS = [block for block in BLOCKS if block.packages]


def name(block: Block) -> str:
    return block.heading


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reading")
    reading_page.build_demo(made)
    return made


def test_every_reader_of_the_table_has_a_section_with_a_block() -> None:
    sections = {block.heading.rpartition(" ")[0] for block in BLOCKS}
    linked = {s.lower().replace(" ", "-").replace(",", "") for s in sections}
    targets = {
        target
        for line in reading_page.PAGE.splitlines()
        if line.startswith("| ")
        for target in re.findall(r"\]\(#(.*?)\)", line)
    }
    assert len(targets) >= 8
    assert targets <= linked


@pytest.mark.parametrize("block", OURS, ids=name)
def test_block_runs(block: Block, folder: Path) -> None:
    printed = reading_page.run_here(block, folder)
    reading_page.assert_prints_what_it_promises(block, printed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", OTHERS, ids=name)
def test_block_of_another_package_runs(block: Block, folder: Path) -> None:
    for package in block.packages:
        found = importlib.util.find_spec(package.partition(".")[0])
        if found is None or package == "nvidia.dali":
            pytest.skip(f"{package} is not here (extra `interop`; DALI needs a GPU)")
    printed = reading_page.run_block(block, folder)
    reading_page.assert_prints_what_it_promises(block, printed)


@pytest.mark.parametrize("block", OTHERS, ids=name)
def test_block_of_another_package_is_python(block: Block) -> None:
    compile(block.text, block.heading, "exec")
