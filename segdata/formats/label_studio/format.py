"""Label Studio's exports JSON and JSON-MIN.

    project.json  images/...             the images anywhere in the source
    train.json val.json, or in folders   make splits

Of a task with several annotations the first counts that was not cancelled. Images are
found by their names: the paths are of Label Studio's server.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

from segdata.annotations import Annotation
from segdata.errors import AnnotationError, SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.class_files import read_class_file
from segdata.formats.folders import list_folder, split_of
from segdata.formats.found_images import FoundImages
from segdata.formats.json_files import beginnings, parse_json
from segdata.formats.label_studio.results import labels_of, read_results
from segdata.formats.label_studio.tasks import Task, find_task_images, read_tasks
from segdata.formats.object_label_map import (
    SEMANTIC_HELP,
    object_label_map,
    told_classes,
)
from segdata.formats.partners import left_out, one_for_each_image
from segdata.label_map import LabelMap
from segdata.storage.paths import Location, locate

_MARK = re.compile(
    rb'^\s*\[\s*\{.*("annotations"|"completions"|labels")\s*:\s*\[', re.DOTALL
)
_OWN = re.compile(rb'"(data|file_upload|\w+labels|annotator|was_cancelled)"\s*:')


@dataclass(frozen=True, kw_only=True)
class LabelStudio:
    """Options of `segdata build label-studio`."""

    name: ClassVar[str] = "label-studio"
    summary: ClassVar[str] = "Label Studio's JSON: polygons, boxes, brush strokes."

    annotations: str = field(
        default="",
        metadata={
            "help": "JSON file below SOURCE. [default: all in SOURCE and its folders "
            "that are lists of tasks]"
        },
    )
    classes: str = field(
        default="",
        metadata={
            "help": "Class file, in SOURCE or as a path. [default: all labels of the "
            "tasks, sorted by name]"
        },
    )
    semantic: bool = field(default=False, metadata={"help": SEMANTIC_HELP})

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        for head in beginnings(folder, ".json"):
            if _MARK.match(head) and _OWN.search(head):
                return Guess(title="Label Studio's JSON")
        return None

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listing = list_folder(source, "", recursive=True)
        images = listing.images
        counts: Counter[str] = Counter()
        tasks = list(self._tasks(source, listing.others, counts))
        found, told = find_task_images((t.image for t in tasks), images, "images")
        tasks, problems = one_for_each_image(
            [task for task in tasks if task.image not in found.ambiguous],
            lambda task: found.paths.get(task.image, task.image),
            lambda task: f"task {task.id} of {task.file}",
        )
        unused = sorted(set(images) - set(found.paths.values()))
        label_map = self._label_map(source, tasks, told)
        told += left_out(
            unused, "image of no task left out", "images of no task left out"
        )
        told += [f"left out: {n} {what}" for what, n in sorted(counts.items()) if n]
        files = sorted({task.file for task in tasks})
        are_numbers = all(type(task.id) is int for task in tasks)
        has_ids = are_numbers and len({task.id for task in tasks}) == len(tasks)
        return Scan(
            label_map=label_map,
            annotations=(self._annotation(t, found, has_ids=has_ids) for t in tasks),
            layout=f"{len(tasks)} tasks of {', '.join(files[:4])}",
            warnings=tuple(told),
            problems=(*found.problems, *problems),
        )

    def _tasks(
        self, source: Location, files: Sequence[str], counts: Counter[str]
    ) -> Iterator[Task]:
        """The labelled tasks of all exports."""
        paths = [self.annotations] if self.annotations else sorted(files)
        paths = [path for path in paths if path.lower().endswith(".json")]
        num_exports = 0
        for path in paths:
            try:
                parsed = parse_json(source.inside(path).read_bytes())
            except OSError as error:
                raise SourceError(
                    f"{path} cannot be read: {error.strerror}."
                ) from error
            except AnnotationError as error:
                raise SourceError(f"{path}: {error}", reason=error.reason) from error
            if not self.annotations and not isinstance(parsed, list):
                counts["JSON files that are no list of tasks"] += 1
                continue
            num_exports += 1
            yield from read_tasks(parsed, path, counts)
        if not num_exports:
            raise SourceError(
                f"{source} has no export of Label Studio: expected its 'JSON', a list "
                f"of tasks; got {len(paths)} other JSON files."
            )

    def _label_map(
        self, source: Location, tasks: Sequence[Task], told: list[str]
    ) -> LabelMap:
        if self.classes:
            inside = source / self.classes
            path = inside if inside.is_file() else locate(self.classes)
            names = [row.name for row in read_class_file(path).rows]
        else:
            firsts = (labels_of(r)[:1] for task in tasks for r in task.results)
            names = sorted({name for first in firsts for name in first})
            told.append(told_classes(names, "the tasks"))
        if not names:
            raise SourceError(f"the tasks of {source} have no label: expected a class.")
        classes = [(number, name, None) for number, name in enumerate(names, 1)]
        return object_label_map(classes, is_painted=self.semantic)

    def _annotation(
        self, task: Task, found: FoundImages, *, has_ids: bool
    ) -> Annotation:
        image = found.paths.get(task.image)
        if image is None:  # it is missing
            name = task.image.replace("\\", "/").rpartition("/")[2]
            image = f"images/{name or 'nothing'}"
        part = read_results(task.results)
        part["source"] = {**task.data, **part["source"]}
        annotation: Annotation = {"image": image, **part}  # type: ignore[typeddict-item]
        split = split_of(task.file) or split_of(f"{PurePosixPath(task.file).stem}/")
        if split is not None:
            annotation["split"] = split
        if has_ids:
            annotation["image_id"] = task.id
        if self.semantic:
            annotation["paint_label_map"] = True
        return annotation
