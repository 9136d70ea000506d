"""Writes the pages that follow from the code: `commands.md` and `records.md`.

python docs/generate.py        # `make docs`; a test says when it is to be run
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from segdata.cli import COMMANDS, cli
from segdata.records import schema

FOLDER = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"


def commands_page() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    parts = [
        "# Command line",
        _NOTE,
        "`segdata COMMAND --help` prints the same. Results go to stdout, progress and "
        "logs to stderr. Exit codes: 0 done, 1 the data or the run failed (one line; "
        "the traceback with `segdata -v`), 2 wrong usage, 130 interrupted.",
    ]
    context = click.Context(cli, info_name="segdata")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, context, name), 2)
    return "\n\n".join(parts) + "\n"


def _command(
    command: click.Command, context: click.Context, level: int
) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {usage}\n```"
    if command.help:
        text = inspect.cleandoc(command.help)
        yield "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        rows = [_option(option, context) for option in options]
        yield "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(below, click.Context(below, context, name), level + 1)


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


PAGES = {"commands.md": commands_page, "records.md": records_page}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), "utf-8")
