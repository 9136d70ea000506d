"""`segdata inspect SHARD [INDEX]`: what a TFRecord file holds, ours or not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from segdata.checking.inspect import FileSummary, KeySummary, read_values, summarize
from segdata.commands.help import TopicCommand
from segdata.commands.sizes import format_bytes
from segdata.commands.tables import print_table
from segdata.errors import CorruptionError, OptionError
from segdata.shards.scan import ScannedRecord, compression_of, scan_records
from segdata.storage.paths import Location, locate

_MAX_SHOWN = 20


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata inspect train.tfrecord-00000-of-00008", "the keys of all records"),
        (
            "segdata inspect train.tfrecord-00000-of-00008 0",
            "the values of the first record",
        ),
    ),
)
@click.argument("given", metavar="SHARD... [INDEX]", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all records.")
def inspect(given: tuple[str, ...], as_json: bool) -> None:
    """Show the keys, types, lengths and values of any TFRecord file.

    With INDEX: the values of that record. Damaged records are named and skipped; the
    exit code is then 1.
    """
    has_index = (
        len(given) > 1 and given[-1].isdecimal() and not Path(given[-1]).exists()
    )
    shards = given[:-1] if has_index else given
    if has_index and len(shards) > 1:
        raise OptionError(
            f"record {given[-1]} of {len(shards)} files is asked for: expected one "
            "file before INDEX."
        )
    for number, shard in enumerate(shards):
        if number and not as_json:
            click.echo()
        _inspect(locate(shard), int(given[-1]) if has_index else None, as_json)


def _inspect(shard: Location, index: int | None, as_json: bool) -> None:
    if shard.is_dir():
        raise OptionError(
            f"{shard} is a folder: expected a TFRecord file, e.g. one of its shards. "
            "`segdata info` tells what a whole build holds."
        )
    if index is None:
        damages, num_records = _show_file(shard, as_json)
        if damages and not num_records:
            raise CorruptionError(
                f"{shard} is no TFRecord file, or damaged from its beginning: expected "
                "records, got none that is intact.",
                reason="no-tfrecord",
            )
    else:
        damages = _show_record(shard, index, as_json)
    if damages:
        raise CorruptionError(
            f"{shard} is damaged: record {damages[0].index} at byte "
            f"{damages[0].offset}: {damages[0].damage}"
            + (f", and {len(damages) - 1} more." if damages[1:] else "."),
            reason="record-damaged",
        )


def _show_file(shard: Location, as_json: bool) -> tuple[list[ScannedRecord], int]:
    """Prints a file; returns its damages, and how many records are intact."""
    compression = compression_of(shard)
    summary = summarize(scan_records(shard))
    if as_json:
        _print_json(_file_json(shard, compression, summary))
        return summary.damages, summary.num_records
    if summary.damages and not summary.num_records:
        return summary.damages, 0
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.messages.items())
    intact = "all CRCs are right" if not summary.damages else "DAMAGED"
    packed = "" if compression == "none" else f", {compression}-compressed"
    click.echo(
        f"{shard.name}: {kinds or 'no records'}, {format_bytes(summary.num_bytes)}"
        f"{packed}; {intact}"
    )
    if summary.keys:
        click.echo()
        titles = ("key", "kind", "records", "values", "size", "first")
        print_table([titles, *map(_key_row, summary.keys.items())])
    if summary.records:
        click.echo()
        shown = summary.records[:_MAX_SHOWN]
        print_table([("record", "byte", "size", "CRC"), *map(_record_row, shown)])
    if len(summary.records) > _MAX_SHOWN:
        more = len(summary.records) - _MAX_SHOWN
        click.echo(f"  ... and {more} more: --json lists all")
    for damage in summary.damages[:_MAX_SHOWN]:
        click.echo(f"damaged: record {damage.index}: {damage.damage}")
    return summary.damages, summary.num_records


def _show_record(shard: Location, index: int, as_json: bool) -> list[ScannedRecord]:
    last = -1
    for record in scan_records(shard):
        last = record.index
        if last == index:
            break
    else:
        raise OptionError(
            f"{shard} has no record {index}: it has {last + 1}, counted from 0."
        )
    kind, values = read_values(record.data)
    if as_json:
        place = {"index": index, "offset": record.offset, "size": record.size}
        _print_json(
            {
                "file": str(shard),
                **place,
                "damage": record.damage,
                "message": kind,
                "values": [asdict(value) for value in values],
            }
        )
    else:
        click.echo(
            f"{shard.name}: record {index} at byte {record.offset}: {kind}, "
            f"{format_bytes(record.size)}; {_crc(record)}"
        )
        click.echo()
        rows = [
            (v.key or "(bytes)", v.kind, str(v.num_values), v.preview) for v in values
        ]
        print_table([("key", "kind", "values", ""), *rows])
    return [record] if record.damage else []


def _crc(record: ScannedRecord) -> str:
    return "damaged" if record.damage else "CRCs are right"


def _key_row(item: tuple[str, KeySummary]) -> tuple[str, ...]:
    key, summary = item
    same = summary.fewest == summary.most
    values = f"{summary.most}" if same else f"{summary.fewest}..{summary.most}"
    return (
        key or "(bytes)",
        "/".join(sorted(summary.kinds)),
        f"{summary.num_records}",
        values,
        format_bytes(summary.num_bytes),
        summary.example,
    )


def _record_row(record: ScannedRecord) -> tuple[str, ...]:
    state = "damaged" if record.damage else "right"
    return f"{record.index}", f"{record.offset}", format_bytes(record.size), state


def _file_json(
    shard: Location, compression: str, summary: FileSummary
) -> dict[str, Any]:
    return {
        "file": str(shard),
        "compression": compression,
        "num_records": summary.num_records,
        "num_bytes": summary.num_bytes,
        "messages": dict(sorted(summary.messages.items())),
        "keys": {key: _key_json(value) for key, value in summary.keys.items()},
        "records": [
            {"index": r.index, "offset": r.offset, "size": r.size, "damage": r.damage}
            for r in summary.records
        ],
    }


def _key_json(summary: KeySummary) -> dict[str, Any]:
    # Not `asdict`: it takes a counter's items for its elements.
    return {
        "kinds": dict(sorted(summary.kinds.items())),
        "num_records": summary.num_records,
        "fewest": summary.fewest,
        "most": summary.most,
        "num_bytes": summary.num_bytes,
        "example": summary.example,
    }


def _print_json(value: Any) -> None:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    click.echo(text.decode())
