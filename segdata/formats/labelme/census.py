"""What the scan reads of labelme's files: their labels, and the images they name."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from segdata.errors import AnnotationError
from segdata.formats.found_images import find_images
from segdata.formats.labelme.reader import UNLABELLED, Head
from segdata.formats.partners import Partners, left_out, may_share_split

Heads = Mapping[str, Head | AnnotationError]
"""Path of a file -> what the scan needs of it, or why it cannot be read."""


def labels_of(heads: Heads) -> list[str]:
    """All labels that are classes, sorted by name."""
    found = [head.labels for head in heads.values() if isinstance(head, Head)]
    return sorted(set().union(*found) - UNLABELLED)


def by_image_path(
    files: Sequence[str], heads: Heads, partners: Partners
) -> tuple[dict[str, str], list[str], list[AnnotationError]]:
    """Finds the images of files whose own names do not tell.

    Args:
      files: The files.
      heads: What the scan read of them.
      partners: The images that belong to others, and those that do not yet.

    Returns:
      Path of a file -> path of its image, where it should be if it is nowhere;
      warnings; and files whose image may be several or is only in the JSON itself.
    """
    names: dict[str, str] = {}
    problems: list[AnnotationError] = []
    pairs = {}
    for path in files:
        head = heads[path]
        if isinstance(head, AnnotationError):
            pairs[path] = partners.expected(path)
        else:
            name = head.image_path.replace("\\", "/")
            folder = posixpath.dirname(path)
            names[path] = posixpath.normpath(posixpath.join(folder, name))
    found = find_images(names.values(), partners.lonely_images)
    problems += found.problems
    uses = Counter(names.values())
    for path, name in names.items():
        head = heads[path]
        image = found.paths.get(name, "")
        is_found = bool(image) and may_share_split(path, image)
        if is_found and uses[name] == 1:
            pairs[path] = image
        elif is_found:
            problems.append(_doubled(path, image))
        elif isinstance(head, Head) and head.holds_image:
            problems.append(_only_embedded(path))
        elif name not in found.ambiguous:
            pairs[path] = partners.expected(path)
    return pairs, [*found.warnings], problems


def of_another(pairs: Mapping[str, str], heads: Heads) -> Iterator[str]:
    """A warning of files that name another image than the one that they belong to."""
    differing = []
    for path, image in pairs.items():
        head = heads.get(path)
        if isinstance(head, Head) and head.image_path:
            name = head.image_path.replace("\\", "/").rpartition("/")[2]
            own = image.rpartition("/")[2]
            if (
                posixpath.splitext(name)[0].casefold()
                != posixpath.splitext(own)[0].casefold()
            ):
                differing.append(path)
    yield from left_out(
        differing,
        "JSON names another image in imagePath than its own name, which counts",
        "JSONs name another image in imagePath than their own name, which counts",
    )


def _doubled(path: str, image: str) -> AnnotationError:
    return AnnotationError(
        f"{path!r} is not the only file for the image {image!r}. Which is meant? Keep "
        "one of them.",
        reason="ambiguous-annotations",
    )


def _only_embedded(path: str) -> AnnotationError:
    return AnnotationError(
        f"the image of {path!r} is only in the JSON itself (imageData): write it to a "
        "file beside it, e.g. with labelme_export_json.",
        reason="image-only-embedded",
    )
