"""The pages under docs/ are tested: complete, linked, and their commands run."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from running import printed_by

from segdata.cli import COMMANDS, SECTIONS, cli
from segdata.commands.help import TopicCommand
from segdata.formats.folders import IMAGE_SUFFIXES
from segdata.records import schema

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMMAND_PAGES = sorted((DOCS / "commands").glob("*.md"))
GUIDES = sorted((DOCS / "guides").glob("*.md"))
PAGES = [*sorted(DOCS.glob("*.md")), *GUIDES, *COMMAND_PAGES]
LINKED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands_below(command: click.Command, path: str) -> dict[str, click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found |= commands_below(below, f"{path} {name}")
    return found


def test_pages_are_what_the_code_says() -> None:
    for name, write in generator().PAGES.items():
        assert (DOCS / name).read_text("utf-8") == write(), f"{name}: run `make docs`"


def test_there_is_a_page_for_each_command_and_no_other() -> None:
    assert {page.stem for page in COMMAND_PAGES} == set(COMMANDS)


def sections_of(page: Path) -> dict[str, str]:
    """Commands of a page, and what all formats share, with what stands below each."""
    heads = r"^#+ (?=segdata |Options of every format)"
    parts = re.split(heads, page.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def test_every_command_and_option_has_its_row() -> None:
    commands = commands_below(cli, "segdata")
    del commands["segdata"]
    sections = {k: v for page in COMMAND_PAGES for k, v in sections_of(page).items()}
    shared = sections["Options of every format"]
    for path, command in commands.items():
        text = sections[path] + shared * path.startswith("segdata build ")
        for option in [p for p in command.params if isinstance(p, click.Option)]:
            [row] = re.findall(rf"^\| `{option.opts[0]}`.*", text, re.MULTILINE)
            assert row.split(" | ")[-1].strip(" |"), f"{path}: {row} says nothing"


def test_examples_are_of_options_that_there_are() -> None:
    for path, command in commands_below(cli, "segdata").items():
        if isinstance(command, TopicCommand):
            known = {name for p in command.params for name in p.opts}
            for line, what in command.examples:
                assert line.startswith(path)
                assert what
                assert {w for w in line.split() if w.startswith("--")} <= known, line


def test_every_command_stands_under_one_heading_of_the_help() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(
        COMMANDS
    )


def test_every_key_of_a_record_has_its_row() -> None:
    text = (DOCS / "records.md").read_text("utf-8")
    missing = [f.key for f in schema.ALL_FEATURES if f"| `{f.key}` |" not in text]
    assert not missing


def rejecting_reasons() -> set[str]:
    """Reasons that the source states for records and objects that it refuses."""
    calls = (
        node
        for path in (ROOT / "segdata").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    return {
        keyword.value.value
        for call in calls
        if call.func.id in ("AnnotationError", "ImageError")
        for keyword in call.keywords
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant)
    }


def test_every_reason_to_refuse_a_record_stands_on_the_page_of_formats() -> None:
    page = (DOCS / "formats.md").read_text("utf-8")
    reasons = rejecting_reasons()
    assert len(reasons) > 40
    assert not [reason for reason in sorted(reasons) if f"`{reason}`" not in page]


def test_page_of_formats_names_no_reason_or_note_that_is_not_there() -> None:
    rows = (DOCS / "formats.md").read_text("utf-8").splitlines()
    counted = " ".join(row.split(" | ")[-1] for row in rows if row.startswith("| "))
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", counted))
    assert len(named) > 80
    source = "\n".join(p.read_text("utf-8") for p in (ROOT / "segdata").rglob("*.py"))

    def is_there(name: str) -> bool:
        cuts = [cut.span() for cut in re.finditer("-", name)]
        # Or put together: f"{kind}-converted", f"unknown-label-{kind}".
        texts = [f'"{name}"', *(f'}}{name[begin:]}"' for begin, _ in cuts)]
        texts += [f'"{name[:end]}{{' for _, end in cuts]
        return any(text in source for text in texts)

    assert not [name for name in sorted(named) if not is_there(name)]
    assert not is_there("no-such-note")


def test_endings_of_images_stand_on_the_page_of_formats() -> None:
    page = (DOCS / "formats.md").read_text("utf-8")
    listed = re.search(r"other\s+endings than these are left out: `([^`]+)`", page)
    assert listed is not None
    assert set(listed[1].split()) == IMAGE_SUFFIXES


def test_every_page_stands_in_the_list_of_pages() -> None:
    text = (DOCS / "README.md").read_text("utf-8")
    names = {page.relative_to(DOCS).as_posix() for page in PAGES if page.name}
    listed = re.findall(r"^\| \[([\w./-]+)\]\(\1\)", text, re.MULTILINE)
    commands = {page.relative_to(DOCS).as_posix() for page in COMMAND_PAGES}
    assert set(listed) == names - commands - {"README.md"}


def test_messages_of_troubleshooting_are_those_of_the_code() -> None:
    texts = [
        node.value
        for folder in ("segdata", "trainers")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    page = (DOCS / "guides/troubleshooting.md").read_text("utf-8")
    cells = re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
    quoted = [text for cell in cells for text in re.findall(r"`(.*?)`", cell)]
    assert len(quoted) > 20
    for text in quoted:
        fixed = [text, *re.split(r"\b[A-Z]+\b|s3", text)]
        parts = [text, max(fixed[1:], key=len).strip(" ,:")]
        assert any(part in known for known in texts for part in parts), text


def test_commands_of_guides_are_those_that_there_are() -> None:
    commands = commands_below(cli, "segdata")
    for page in GUIDES:
        for text in BLOCK.findall(page.read_text("utf-8")):
            for line in text[1].replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if not words or words[0] != "segdata":
                    continue
                path = " ".join(words[:3] if words[1] == "build" else words[:2])
                known = {name for p in commands[path].params for name in p.opts}
                assert {w for w in words if w.startswith("--")} <= known, line


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_readme_leads_to_the_pages() -> None:
    assert "(docs/README.md)" in (ROOT / "README.md").read_text("utf-8")


def test_every_benchmark_stands_on_the_page_of_benchmarks() -> None:
    text = (DOCS / "benchmarks.md").read_text("utf-8")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert scripts == set(re.findall(r"^\| `(bench_\w+\.py)`", text, re.MULTILINE))


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tfrecord-*")}


def test_quick_start_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its blocks in order, then the Python of the page on statistics."""
    monkeypatch.chdir(tmp_path)
    blocks = [
        block
        for name in ("quickstart.md", "statistics.md")
        for block in BLOCK.findall((DOCS / name).read_text("utf-8"))
        if name == "quickstart.md" or block[0] == "python"
    ]
    assert len(blocks) >= 5
    for kind, text in blocks:
        if kind == "python":
            printed = printed_by(text)
            promised = re.findall(r"print\(.*?\)  # (.*)", text)
            assert [line for line in promised if line not in printed] == []
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            assert program == "segdata"
            result = CliRunner().invoke(cli, arguments)
            assert result.exception is None, f"{line}: {result.exception}"
    assert shards(Path("demo/rebuilt")) == shards(Path("demo/records"))
