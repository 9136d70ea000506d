"""Tasks of Label Studio's exports JSON and JSON-MIN: image, chosen annotation, name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from segdata.errors import SourceError
from segdata.formats.folders import IMAGE_SUFFIXES
from segdata.formats.found_images import FoundImages, find_images
from segdata.formats.partners import left_out

_UPLOAD = re.compile(r"[0-9a-f]{8}-")
_IMAGE = re.compile(
    rf"({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})(\?|$)", re.I
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One image with what somebody said of it."""

    file: str
    """Path of the export that it stands in."""
    id: int | str
    """Its id, or its place in the file."""
    image: str
    """Path of its image, as far as it can be one."""
    results: Sequence[Any]
    """What the chosen annotation says."""
    data: Mapping[str, Any]
    """What else is known of the image."""


def read_tasks(parsed: Any, path: str, counts: Counter[str]) -> Iterator[Task]:
    """The tasks of one file that somebody has labelled.

    Args:
      parsed: The JSON.
      path: Path of the file.
      counts: What is left out is counted here.

    Raises:
      SourceError: If it is no list of tasks.
    """
    if not isinstance(parsed, list) or not all(isinstance(t, dict) for t in parsed):
        raise SourceError(
            f"{path} is no list of tasks: expected Label Studio's export 'JSON'. Its "
            "single tasks, CSV and TSV are not supported."
        )
    seen = set()
    for number, task in enumerate(parsed):
        is_full = isinstance(task.get("annotations", task.get("completions")), list)
        data = task.get("data") if is_full else task
        image = _image(data if isinstance(data, Mapping) else {})
        if image is None:
            counts["tasks without image"] += 1
            continue
        task_id = task.get("id", number)
        task_id = task_id if type(task_id) in (int, str) else number
        results = _chosen(task, counts) if is_full else _of_min(task)
        if not is_full and task_id in seen:
            counts["annotations beside the first of their task"] += 1
        elif results is not None:
            kept = data if is_full else {}
            key, name = image
            yield Task(
                file=path,
                id=task_id,
                image=name,
                results=results,
                data={k: v for k, v in kept.items() if k != key},
            )
        seen.add(task_id)


def _chosen(task: Mapping[str, Any], counts: Counter[str]) -> Sequence[Any] | None:
    """Results of the first annotation that was not cancelled; None without one."""
    given = [
        a
        for a in task.get("annotations", task.get("completions"))
        if isinstance(a, dict)
    ]
    kept = [a for a in given if not (a.get("was_cancelled") or a.get("skipped"))]
    if not kept:
        counts["tasks that were skipped" if given else "tasks without annotation"] += 1
        return None
    counts["annotations beside the first of their task"] += len(kept) - 1
    results = kept[0].get("result")
    return results if isinstance(results, list) else []


def _of_min(task: Mapping[str, Any]) -> Sequence[Any]:
    """Results of JSON-MIN, where each region is its value with its size."""
    regions = [
        v for values in task.values() if isinstance(values, list) for v in values
    ]
    found = []
    for region in regions:
        kinds = (
            [k for k in region if k.endswith("labels")]
            if isinstance(region, dict)
            else []
        )
        if kinds:
            sizes = {k: region[k] for k in region if k.startswith("original_")}
            value = {k: v for k, v in region.items() if k not in sizes}
            found.append({"type": kinds[0], "value": value, **sizes})
    return found


def _image(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """Key and path of the image: under `image`, or the first that looks like one."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    for key in ("image", *texts):
        if key in texts and (key == "image" or _IMAGE.search(texts[key])):
            return key, _path_of(texts[key])
    return None


def _path_of(address: str) -> str:
    """The path in an address: `/data/local-files/?d=a/b.jpg`, `s3://x/b.jpg?key=1`."""
    if "?d=" in address:
        return unquote(address.partition("?d=")[2].partition("&")[0])
    if "://" in address and not address.startswith("file:"):
        return urlsplit(address).path
    return address


def find_task_images(
    names: Iterable[str], images: Sequence[str], folder: str
) -> tuple[FoundImages, list[str]]:
    """Finds images, also without the eight digits that an upload puts before a name.

    Returns:
      What is found, and warnings.
    """
    names = [*dict.fromkeys(names)]
    first = find_images(names, images, folder)
    left = [n for n in names if n not in first.paths and n not in first.ambiguous]
    plain = {name: _UPLOAD.sub("", name.rpartition("/")[2], count=1) for name in left}
    uses = Counter(plain.values())
    plain = {n: p for n, p in plain.items() if uses[p] == 1 and not n.endswith(f"/{p}")}
    free = sorted(set(images) - set(first.paths.values()))
    second = find_images(plain.values(), free)
    found = {n: second.paths[p] for n, p in plain.items() if p in second.paths}
    whole = FoundImages(
        paths={**first.paths, **found},
        ambiguous={
            **first.ambiguous,
            **{
                n: second.ambiguous[p]
                for n, p in plain.items()
                if p in second.ambiguous
            },
        },
    )
    told = [*first.warnings]
    told += left_out(
        [*found],
        "image found without the digits that its upload put before its name",
        "images found without the digits that their upload put before their names",
    )
    return whole, told
