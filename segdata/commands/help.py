"""`--help` by topic, with examples; docs/commands/ shows the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

Topics = Mapping[str, Sequence[str]]
"""Heading -> the names of its options, without `--`."""

OTHERS = "Other options"

BUILD_TOPICS: Topics = {
    "Splits": ("split", "group", "stratify", "seed"),
    "Classes": ("map", "only"),
    "Images and masks": ("max-size", "exif", "check", "masks"),
    "Errors": ("on-error", "max-rejects"),
    "Output": ("name", "shards", "shard-size", "overwrite", "update"),
    "Where it runs": ("workers", "runner"),
    "About the dataset": ("license", "citation", "description", "homepage"),
}


class TopicCommand(click.Command):
    """A command whose help lists options by topic, then examples.

    Attributes:
      topics: Headings; options of none of them come last.
      examples: Command lines, each with what it does.
    """

    def __init__(
        self,
        *args: Any,
        topics: Topics | None = None,
        examples: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        """As `click.Command`."""
        super().__init__(*args, **kwargs)
        self.topics = topics or {}
        self.examples = tuple(examples)

    def by_topic(self) -> dict[str, list[click.Option]]:
        """The options but `--help`, under their headings, in the order of these."""
        options = [p for p in self.params if isinstance(p, click.Option)]
        by_name = {option.opts[0].removeprefix("--"): option for option in options}
        found = {
            topic: [by_name.pop(name) for name in names if name in by_name]
            for topic, names in self.topics.items()
        }
        found[OTHERS if self.topics else "Options"] = list(by_name.values())
        return {topic: listed for topic, listed in found.items() if listed}

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the options under their headings."""
        found = self.by_topic()
        if help_option := self.get_help_option(ctx):
            found.setdefault(OTHERS if self.topics else "Options", []).append(
                help_option
            )
        for topic, options in found.items():
            rows = [row for option in options if (row := option.get_help_record(ctx))]
            if rows:  # hidden options have none
                with formatter.section(topic):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for line, what in self.examples:
                    indent = " " * formatter.current_indent
                    formatter.write(f"{indent}{line}\n{indent}    {what}\n")
