"""A finished build that is asked for again: this very build, or what differs.

A job that is retried after its last moment must not fail for ever, and another build
must not be taken for the one that was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict

import orjson

from segdata.building import output
from segdata.building.kept import read_finished
from segdata.building.options import differing_options
from segdata.building.outcome import remarks
from segdata.building.update import changed_shards
from segdata.building.work import Work
from segdata.errors import OutputError, short_repr
from segdata.shards.manifest import Manifest
from segdata.storage.paths import Location

logger = logging.getLogger(__name__)


def same_build(work: Work, out: Location) -> Manifest:
    """Checks that a finished build is the one that is asked for.

    Args:
      work: The build that is asked for.
      out: A finished build.

    Returns:
      Its manifest.

    Raises:
      OutputError: If it is of other options, classes, versions or source files; all
        that differs is named.
    """
    old = read_finished(out)
    found = [*_other_settings(old, work)] or [*_other_source(old, work, out)]
    if found:
        raise OutputError(
            f"{out} already holds a finished build, and what is asked for differs: "
            f"{'; '.join(found)}. Pass --update to bring it up to date with the "
            "options it has, --overwrite to replace it, or choose another directory.",
            reason="output-exists",
        )
    logger.info("%s already holds this very build: nothing is left to do", out)
    return old


def _other_settings(old: Manifest, work: Work) -> Iterator[str]:
    """What differs before any file of the source is looked at."""
    of_format = work.options.of_format or work.name
    if old.format_name != of_format:
        yield f"format {old.format_name} -> {of_format}"
    yield from differing_options(old.options, work.options)
    before, after = asdict(old.about), asdict(work.about)
    for name, text in after.items():
        if before[name] != text:
            yield f"--{name} {short_repr(before[name])} -> {short_repr(text)}"
    for name, version in output.byte_versions().items():
        if old.versions.get(name) != version:
            yield f"{name} {old.versions.get(name, 'not noted')} -> {version}"
    if old.label_map.to_json() != work.scan.label_map.to_json():
        yield "the classes"


def _other_source(old: Manifest, work: Work, out: Location) -> Iterator[str]:
    """What differs in the source."""
    plan, scan = work.plan, work.scan
    kept = {shard.name for shard in plan.shards}
    gone = [s for split in old.splits.values() for s in split.shards]
    gone = [shard for shard in gone if shard.name not in kept]
    if changed := changed_shards(out, plan, work.source):
        yield f"source or bytes of {len(changed)} of {len(plan.shards)} shards"
    elif gone:
        yield f"the source, which has no records of {len(gone)} shards"
    elif old.fingerprint != output.build_fingerprint(
        work.settings, plan, old.source, scan.problems
    ):
        yield "annotations that belong to no record"
    told = {
        "the source's layout": (old.layout, scan.layout),
        "warnings of the source": (
            old.warnings,
            (
                *scan.warnings,
                *remarks(old.splits, scan.label_map, work.options.split),
            ),
        ),
        "what the source says of itself": (old.source_info, scan.source_info),
    }
    for name, (before, after) in told.items():
        if orjson.dumps(before) != orjson.dumps(after):
            yield name
