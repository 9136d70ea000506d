"""Writes the pages that follow from the code: `commands*` and `records.md`.

python docs/generate.py        # `make docs`; a test says when it is to be run
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click

from segdata.cli import COMMANDS, cli
from segdata.records import schema

FOLDER = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"


def commands_page() -> str:
    """The list of commands."""
    rows = [
        f"| [`segdata {name}`](commands/{name}.md) | {text} |"
        for name, (_, text) in COMMANDS.items()
    ]
    parts = [
        "# Command line",
        _NOTE,
        "`segdata COMMAND --help` prints what these pages say. Results go to stdout, "
        "progress and logs to stderr.",
        "\n".join(["| command | what it does |", "|---|---|", *rows]),
        "| exit code | meaning |\n|---|---|\n| 0 | done |\n| 1 | the data or the run "
        "failed: one line on stderr says why; `segdata -v COMMAND` adds the traceback |"
        "\n| 2 | wrong usage |\n| 130 | interrupted |",
    ]
    return "\n\n".join(parts) + "\n"


def command_page(name: str) -> str:
    """One command with its arguments and options, as `--help` has them."""
    context = click.Context(cli, info_name="segdata")
    command = cli.get_command(context, name)
    assert command is not None
    own = click.Context(command, context, name)
    parts = [f"# segdata {name}", _NOTE, *_command(command, own, command.params)]
    if isinstance(command, click.Group):
        parts += _formats(command, own)
    return "\n\n".join(parts) + "\n"


def _command(
    command: click.Command, context: click.Context, params: list[click.Parameter]
) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {usage}\n```"
    if command.help:
        text = inspect.cleandoc(command.help)
        yield "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    yield from _table(params, context)


def _table(params: list[click.Parameter], context: click.Context) -> Iterator[str]:
    options = [p for p in params if isinstance(p, click.Option)]
    if options:
        rows = [_option(option, context) for option in options]
        yield "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _formats(group: click.Group, context: click.Context) -> Iterator[str]:
    """What all formats share, once; then each with its own options."""
    names = group.list_commands(context)
    below = {name: group.get_command(context, name) for name in names}
    shared = [p for p in _of(below[names[0]]) if p.name in _shared_names(below)]
    yield "## Options of every format"
    yield from _table(shared, context)
    for name, command in below.items():
        assert command is not None
        inner = click.Context(command, context, name)
        own = [p for p in command.params if p.name not in {s.name for s in shared}]
        yield f"## {inner.command_path}"
        yield from _command(command, inner, own)


def _of(command: click.Command | None) -> list[click.Parameter]:
    return command.params if command else []


def _shared_names(below: dict[str, click.Command | None]) -> set[str | None]:
    return set.intersection(*({p.name for p in _of(c)} for c in below.values()))


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {_kind(option, context)}"
    text = " ".join((option.help or "").split())
    text, _, written = text.partition(" [default: ")
    default = written.removesuffix("]") or _default(option)
    if option.required:
        text += " Required."
    if option.multiple:
        default = ""
    cells = (f"{names}{kind}", default, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(option: click.Option, context: click.Context) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.make_metavar(context).removesuffix(" RANGE")


def _default(option: click.Option) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    given = option.default
    is_plain = isinstance(given, str | int | float | Path)
    shown = is_plain and not isinstance(given, bool) and given != ""
    return f"`{given}`" if shown else ""


def records_page() -> str:
    """Every key of a record, from `segdata.records.schema`."""
    groups = [
        (name.removesuffix("_FEATURES"), value)
        for name, value in vars(schema).items()
        if name.endswith("_FEATURES") and name != "ALL_FEATURES"
    ]
    parts = [
        "# The record",
        _NOTE,
        "Each record is a `tf.train.Example` of schema version "
        f"{schema.SCHEMA_VERSION}, in a plain TFRecord file. `segdata inspect SHARD "
        "0` shows one. Scalars have exactly one value in every record that has the "
        "key; lists may have none.",
    ]
    for name, group in groups:
        rows = [
            f"| `{f.key}` | {f.kind}{' list' if f.is_list else ''} | {f.doc} |"
            for f in group
        ]
        parts.append(f"## {name.replace('_', ' ').capitalize()}")
        if doc := _doc_after(f"{name}_FEATURES"):
            parts.append(doc)
        parts.append("\n".join(["| key | kind | what |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _doc_after(name: str) -> str:
    """The text below a constant, which Python keeps nowhere."""
    source = inspect.getsource(schema)
    _, found, rest = source.partition(f"\n{name} = ")
    _, quotes, text = rest.partition('"""')
    return text.partition('"""')[0].strip() if found and quotes else ""


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "records.md": records_page,
    **{f"commands/{name}.md": partial(command_page, name) for name in COMMANDS},
}

if __name__ == "__main__":
    (FOLDER / "commands").mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), "utf-8")
