from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segdata.cli import cli
from segdata.shards.manifest import About, read_manifest


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["build", "camvid", *map(str, arguments)])


def test_what_the_user_says_comes_from_text_and_files(
    source: Path, tmp_path: Path
) -> None:
    entry = "@misc{street,\n  title = {Strasse \N{LATIN SMALL LETTER SHARP S}}\n}"
    (tmp_path / "cite.bib").write_text(f"{entry}\n", "utf-8")
    out = tmp_path / "out"
    result = run(
        *(source, out, "--license=CC-BY-4.0", "--homepage=https://example.org/street"),
        *(f"--citation=@{tmp_path / 'cite.bib'}", "--description", "Drawn streets"),
    )
    assert result.exit_code == 0, result.output
    assert read_manifest(out).about == About(
        description="Drawn streets",
        license="CC-BY-4.0",
        citation=entry,
        homepage="https://example.org/street",
    )
    told = CliRunner().invoke(cli, ["info", str(out)]).stdout.splitlines()
    assert "license: CC-BY-4.0" in told


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_file_that_cannot_be_read_is_wrong_usage(
    content: bytes | None, source: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "cite.bib").write_bytes(content)
    result = run(source, tmp_path / "out", f"--citation=@{tmp_path / 'cite.bib'}")
    assert result.exit_code == 2
    assert "cite.bib cannot be read as UTF-8 text" in result.output
    assert not (tmp_path / "out").exists()


def test_shards_do_not_depend_on_what_the_user_says_and_an_update_takes_it_over(
    source: Path, tmp_path: Path, file_hashes: Any
) -> None:
    out = tmp_path / "out"
    run(source, out)
    before = file_hashes(out)
    result = run(source, out, "--update", "--license=MIT")
    assert "updating: 0 of " in result.output
    after = file_hashes(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"manifest.json", "dataset_info.json"}
