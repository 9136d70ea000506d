"""Files of a source folder, by the paths that annotations give, with our errors."""

from __future__ import annotations

from segdata.errors import ImageError, StorageError
from segdata.storage.listing import State
from segdata.storage.paths import Address, locate


def read_bytes(root: Address, relative: str, *, what: str) -> bytes:
    """Reads a whole source file.

    Args:
      root: Folder of the source.
      relative: Path below it.
      what: `image` or `label image`: for the message and the reason.

    Raises:
      ImageError: If it is missing, not a file or unreadable.
      AnnotationError: If the path leaves the folder.
      StorageError: If a store cannot be reached, or refuses: no fault of the record.
    """
    path = locate(root).inside(relative)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise missing(root, relative, what=what) from None
    except StorageError:
        raise
    except OSError as error:
        raise ImageError(
            f"{what} {relative!r} cannot be read: {error.strerror} ({path}).",
            reason=f"{what.replace(' ', '-')}-unreadable",
        ) from error


def missing(root: Address, relative: str, *, what: str) -> ImageError:
    """The error for a source file that is not there."""
    return ImageError(
        f"{what} {relative!r} is missing: expected a file at "
        f"{locate(root) / relative}. Restore it or remove its entry.",
        reason=f"{what.replace(' ', '-')}-missing",
    )


def file_state(root: Address, relative: str) -> State | None:
    """The state of a source file; None where there is no such file.

    Raises:
      AnnotationError: If the path leaves the folder.
      StorageError: If a store cannot be reached, or refuses.
    """
    try:
        return locate(root).state_inside(relative)
    except StorageError:
        raise
    except OSError:
        return None
