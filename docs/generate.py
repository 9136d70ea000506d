"""Writes the pages that follow from the code: `commands*` and `records.md`.

python docs/generate.py        # `make docs`; a test says when it is to be run
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import click

from segdata.cli import COMMANDS, SECTIONS, cli
from segdata.commands.help import BUILD_TOPICS, TopicCommand
from segdata.records import schema

FOLDER = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"


def commands_page() -> str:
    """The list of commands."""
    rows = [
        f"| [`segdata {name}`](commands/{name}.md) | {COMMANDS[name][1]} |"
        for names in SECTIONS.values()
        for name in names
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
        "## Completion\n\nTo complete commands and options with the Tab key, put the "
        "line of your shell into its start-up file:\n\n```bash\n"
        'eval "$(_SEGDATA_COMPLETE=bash_source segdata)"                # ~/.bashrc\n'
        'eval "$(_SEGDATA_COMPLETE=zsh_source segdata)"                 # ~/.zshrc\n'
        "_SEGDATA_COMPLETE=fish_source segdata | source                 "
        "# ~/.config/fish/config.fish\n```",
    ]
    return "\n\n".join(parts) + "\n"


def command_page(name: str) -> str:
    """One command with its arguments and options, as `--help` has them."""
    context = click.Context(cli, info_name="segdata")
    command = cli.get_command(context, name)
    assert command is not None
    own = click.Context(command, context, name)
    parts = [f"# segdata {name}", _NOTE, *_intro(command, own)]
    if isinstance(command, TopicCommand):
        parts += [*_topics(command, own, 2), *_examples(command, 2)]
    if isinstance(command, click.Group):
        parts += _formats(command, own)
    return "\n\n".join(parts) + "\n"


def _intro(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {usage}\n```"
    text = inspect.cleandoc(command.help or "")
    yield "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _examples(command: TopicCommand, level: int) -> Iterator[str]:
    yield f"{'#' * level} Examples"
    width = max(len(line) for line, _ in command.examples)
    lines = [f"{line:<{width}}  # {what}" for line, what in command.examples]
    yield "\n".join(["```bash", *lines, "```"])


def _topics(
    command: TopicCommand,
    context: click.Context,
    level: int,
    skip: Iterable[str] = (),
) -> Iterator[str]:
    for topic, options in command.by_topic().items():
        if topic not in skip:
            rows = [_option(option, context) for option in options]
            yield f"{'#' * level} {topic}"
            yield "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _formats(group: click.Group, context: click.Context) -> Iterator[str]:
    """Each format with its own options, then what all formats share, once."""
    shared: TopicCommand | None = None
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert isinstance(command, TopicCommand)
        inner = click.Context(command, context, name)
        yield f"## {inner.command_path}"
        yield from _intro(command, inner)
        own = [f"Options of {name}"]
        yield from _topics(command, inner, 3, [*BUILD_TOPICS])
        shared = shared or command
        assert [t for t in command.by_topic() if t not in own] == [*BUILD_TOPICS]
    assert shared is not None
    yield "## Options of every format"
    yield from _topics(shared, context, 3)


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
