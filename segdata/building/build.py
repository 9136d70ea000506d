"""A whole build: scan, plan, shards, manifest.

Annotations reach the shard's owner through the plan files in the output directory,
pixels are read where they are written: nothing but names is handed around, so memory
does not grow with the dataset and no engine can lose a record on the way. What was
written is compared with what was planned at the end all the same.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import Any, Literal

from segdata.building import again, directory, kept, output
from segdata.building import exif as exif_orientation
from segdata.building import update as updates
from segdata.building.classes import ClassChoice, choose_classes
from segdata.building.lock import locked, remove_stale_lock
from segdata.building.options import FLAGS, BuildOptions, Check, parse_mask_forms
from segdata.building.plan import Plan, PlannedShard, make_plan
from segdata.building.shard import BuildJob
from segdata.building.sources import without_folder
from segdata.building.splits import SplitChoice
from segdata.building.work import Work
from segdata.errors import AnnotationError, OptionError, SourceError
from segdata.formats import format_class
from segdata.formats.base import Format, Scan
from segdata.formats.recognize import AUTO, the_one
from segdata.images.orientation import Exif
from segdata.masks import compiled
from segdata.records.png_masks import MaskForms
from segdata.shards.manifest import About, Manifest
from segdata.shards.work import OnRecords, RunShards, ShardWork, in_turn
from segdata.storage.paths import Address, Location, locate

logger = logging.getLogger(__name__)


def build(
    format: str | Format,
    source: Address,
    out: Address,
    *,
    split: str | SplitChoice | None = None,
    num_shards: int | None = None,
    shard_bytes: int | None = None,
    seed: int | None = None,
    masks: str | MaskForms | None = None,
    on_error: Literal["fail", "skip"] | None = None,
    max_reject_share: float | None = None,
    exif: Exif | None = None,
    check: Check | None = None,
    max_size: int | None = None,
    class_map: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    group: str | None = None,
    stratify: bool | None = None,
    name: str | None = None,
    format_options: Mapping[str, Any] | None = None,
    about: About | None = None,
    overwrite: bool = False,
    update: bool = False,
    run_shards: RunShards = in_turn,
) -> Manifest:
    """Builds a dataset, or continues an unfinished build.

    A finished build that is asked for again is left as it is. An option that is None
    has the default of `BuildOptions`; in an update, what the build has.

    Args:
      format: Name of the dataset's format, or a format, which states all its options;
        `auto` for what `segdata.formats.recognize` says of the source.
      source: Folder of the source.
      out: Output directory.
      split: Which splits to build, or how to draw them, as `--split` takes it.
      num_shards: Shards of each split; planned from `shard_bytes` where None.
      shard_bytes: Aimed size of a shard in bytes, by the sizes of the source files.
      seed: Seed of the order of records and of drawn splits.
      masks: Forms of masks that records have, as `--masks` takes it.
      on_error: Whether a bad record ends the build or lands in `rejects.jsonl`.
      max_reject_share: Fail if more than this share of records, 0 to 1, was rejected.
      exif: Whether images are turned as EXIF says: `auto`, `apply` or `ignore`.
      check: Whether images are decoded strictly: `structure` or `pixels`.
      max_size: The longer side in pixels that images are shrunk to, with their masks.
      class_map: Class of the source -> its name, as `--map` takes it.
      only: Names of the classes to keep.
      group: Regular expression: keys of one group are drawn into one split.
      name: The dataset's name, which the names of shards begin with.
      stratify: Draw splits such that none lacks a class, where that can be.
      format_options: Options of a format that is given by its name.
      about: What the manifest says of the dataset.
      overwrite: Replace an earlier build in `out`.
      update: Bring a finished build in `out` up to date with its source.
      run_shards: How the shards are gone through; the bytes do not depend on it.

    Returns:
      The manifest, as written.

    Raises:
      SegdataError: See its subclasses; the message is one line for the user.
    """
    given = dict(locals())
    if overwrite and update:
        raise OptionError("--overwrite and --update contradict: expected one of them.")
    stated = _stated({name: given[name] for name in FLAGS})
    if format == AUTO:
        format, source, format_options = _recognised(source, format_options)
    of_format = _stated_format(format, format_options)
    return _build_or_update(
        of_format, source, out, stated, about, run_shards, overwrite, update
    )


def _build_or_update(
    of_format: tuple[type[Format], dict[str, Any]],
    source: Address,
    out: Address,
    stated: dict[str, Any],
    about: About | None,
    run_shards: RunShards,
    overwrite: bool,
    update: bool,
) -> Manifest:
    """Does what is asked for with an output directory as it is."""
    cls, options_of_format = of_format
    folder, out = _listed(source), locate(out)
    if (out / directory.STAGING_DIR).is_dir():
        with locked(out):
            updates.complete(out)  # of one that was killed in its last moment
    is_finished = not overwrite and directory.recognize(out).is_finished
    if update and is_finished:
        chosen, options, about = _kept(
            out, cls, options_of_format, folder, stated, about
        )
    else:
        chosen = cls(**options_of_format)
        options = BuildOptions(**stated, format=_noted(chosen, folder))
        if options.name:
            options = replace(options, of_format=cls.name)
    work = _prepare(chosen, folder, options, about or About(), run_shards)
    with _held(out, is_finished=is_finished, update=update):
        if is_finished:
            manifest = _update(work, out) if update else again.same_build(work, out)
        else:
            manifest = _build(work, out, overwrite=overwrite)
        updates.note_sources(out, work.plan)
        directory.remove_leftovers(out)  # of a run that was killed in its last moment
    remove_stale_lock(out)
    return manifest


def _held(
    out: Location, *, is_finished: bool, update: bool
) -> AbstractContextManager[None]:
    """Holds the output where something is written; what is foreign stays untouched."""
    if is_finished and not update:  # maybe where nothing can be written
        return nullcontext()
    return locked(out) if directory.is_ours(out) else nullcontext()


def _kept(
    out: Location,
    cls: type[Format],
    of_format: dict[str, Any],
    folder: Location,
    stated: dict[str, Any],
    about: About | None,
) -> tuple[Format, BuildOptions, About]:
    """What an update is asked for: the finished build has what is not stated."""
    old = kept.read_finished(out)
    chosen = kept.kept_format(out, old, cls, of_format, folder)
    options = kept.kept_options(out, old, stated, _noted(chosen, folder))
    return chosen, options, kept.kept_about(old.about, about or About())


def _stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not None, read; what cannot be is told first."""
    read: dict[str, Callable[[str], Any]]
    read = {"split": SplitChoice.parse, "masks": parse_mask_forms}
    stated: dict[str, Any] = {
        name: read[name](value) if name in read and isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }
    if "only" in stated:
        stated["only"] = tuple(stated["only"])
    BuildOptions(**stated)
    return stated


def _recognised(
    source: Address, options: Mapping[str, Any] | None
) -> tuple[str, Location, dict[str, Any]]:
    """The format, folder and options of a source that can be one thing only."""
    found = the_one(locate(source))
    logger.info(
        "recognised %s: %s (%s)", found.format, found.guess.title, found.command()
    )
    return found.format, found.folder, {**found.guess.options, **(options or {})}


def _stated_format(
    format: str | Format, options: Mapping[str, Any] | None
) -> tuple[type[Format], dict[str, Any]]:
    """A format and those of its options that are stated."""
    if isinstance(format, str):
        return format_class(format), dict(options or {})
    return type(format), asdict(format)  # type: ignore[call-overload]


def _noted(chosen: Format, source: Location) -> dict[str, Any]:
    return kept.noted(asdict(chosen), source)  # type: ignore[call-overload]


def _listed(source: Address) -> Location:
    """The folder of the source; one in a store with what is in it."""
    folder = locate(source).listed()
    if not folder.is_dir():
        raise SourceError(
            f"source {folder} is not a folder: expected the dataset's root.",
            reason="no-source",
        )
    return folder


def _prepare(
    chosen: Format,
    source: Location,
    options: BuildOptions,
    about: About,
    run_shards: RunShards,
) -> Work:
    """Scans the source and plans the shards."""
    scan = chosen.scan(source)
    if scan.problems and options.on_error == "fail":
        raise _first_of(scan.problems)
    scan = _with_classes(scan, options)
    for warning in scan.warnings:
        logger.warning("%s", warning)
    scan = _without_folder(scan, source)
    name = options.name or chosen.name
    plan = make_plan(scan, source, name, options)
    for warning in plan.warnings:
        logger.warning("%s", warning)
    scan = replace(scan, warnings=(*scan.warnings, *plan.warnings))
    scan, options = _with_exif(scan, plan, source, options)
    logger.info(
        "%s: %d images in %d shards (%s)",
        name,
        plan.num_records,
        len(plan.shards),
        scan.layout,
    )
    if compiled.runs is None:
        logger.info(
            "masks of polygons take longer than they need: segdata was installed where "
            "no C compiler was found"
        )
    return Work(
        name=name,
        source=source,
        options=options,
        about=about,
        run_shards=run_shards,
        scan=scan,
        plan=plan,
        settings=output.settings_fingerprint(name, scan.label_map, options),
    )


def _with_exif(
    scan: Scan, plan: Plan, source: Location, options: BuildOptions
) -> tuple[Scan, BuildOptions]:
    """Decides whether images are turned, where the user left it open."""
    if options.exif != "auto":
        return scan, options
    decided, why = exif_orientation.decide(plan, source)
    if decided == "apply":
        logger.info("%s", why)
    elif why:
        logger.warning("%s", why)
        scan = replace(scan, warnings=(*scan.warnings, why))
    return scan, replace(options, exif=decided)


def _with_classes(scan: Scan, options: BuildOptions) -> Scan:
    """The scan with the classes that are asked for."""
    choice = ClassChoice(names=options.class_map, only=options.only)
    if not choice:
        return scan
    label_map, line = choose_classes(scan.label_map, choice)
    return replace(scan, label_map=label_map, warnings=(*scan.warnings, line))


def _without_folder(scan: Scan, source: Location) -> Scan:
    """What the scan says, as the manifest may hold it."""
    return replace(
        scan,
        layout=without_folder(scan.layout, source),
        warnings=tuple(without_folder(text, source) for text in scan.warnings),
        problems=tuple(
            AnnotationError(without_folder(str(item), source), reason=item.reason)
            for item in scan.problems
        ),
    )


def _first_of(problems: Sequence[AnnotationError]) -> AnnotationError:
    """The first problem, with the number of the others."""
    first, others = problems[0], len(problems) - 1
    if not others:
        return first
    return AnnotationError(
        f"{first} There {'is' if others == 1 else 'are'} {others} more of such "
        "annotations: --on-error skip leaves them out and names each.",
        reason=first.reason,
    )


def _build(work: Work, out: Location, *, overwrite: bool) -> Manifest:
    """Builds every shard that is not there, or not whole."""
    unfinished = output.begin(out, work.plan, work.settings, overwrite=overwrite)
    num_shards = len(work.plan.shards)
    if there := num_shards - len(unfinished):
        logger.info(
            "continuing: %d of %d shards are there; each is kept if it is whole",
            there,
            num_shards,
        )
    _run(work, work.plan.shards, out)
    return _finish(work, out, {})


def _update(work: Work, out: Location) -> Manifest:
    """Builds the shards that changed beside a finished build, and moves them in."""
    plan = work.plan
    stale = updates.outdated(out, plan, work.settings, work.source)
    logger.info(
        "updating: %d of %d shards are written again", len(stale), len(plan.shards)
    )
    staging = updates.staging_folder(out, work.settings)
    part = replace(plan, shards=stale)
    output.begin(staging, part, work.settings, overwrite=False)
    _run(work, stale, staging)
    written = {shard.name for shard in stale}
    places = {s.name: out for s in plan.shards if s.name not in written}
    manifest = _finish(work, staging, places)
    updates.complete(out)
    return manifest


def _run(work: Work, shards: Sequence[PlannedShard], out: Location) -> None:
    job = BuildJob(
        source=work.source.resolve().unlisted(),  # it may change meanwhile
        out=out.resolve(),
        label_map=work.scan.label_map,
        on_error=work.options.on_error,
        masks=work.options.masks,
        exif=work.options.exif,
        check=work.options.check,
        max_size=work.options.max_size,
    )
    shard_work = ShardWork(
        do=functools.partial(_build_one, job),
        what="building",
        out=out.resolve(),
        records_per_worker=1000,
    )
    try:
        for _ in work.run_shards(shard_work, shards) if shards else ():
            pass
    except BaseException:
        directory.remove_temporaries(out)  # of workers that were ended
        raise


def _build_one(job: BuildJob, shard: PlannedShard, on_records: OnRecords) -> None:
    output.build_or_keep(shard, job, on_records)


def _finish(work: Work, out: Location, kept: Mapping[str, Location]) -> Manifest:
    return output.finish(
        out,
        name=work.name,
        scan=work.scan,
        plan=work.plan,
        settings=work.settings,
        options=work.options,
        about=work.about,
        kept=kept,
    )
