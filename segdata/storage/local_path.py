"""Paths of this machine: `pathlib.Path`, and what else segdata asks of a place."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

from segdata.errors import StorageError
from segdata.storage.inside import join_inside
from segdata.storage.listing import Entry, State
from segdata.storage.temporary import (
    hold,
    not_written,
    release,
    remove_abandoned,
    temporary_name,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

if TYPE_CHECKING:
    _Path = Path
else:  # Python 3.11 cannot subclass `Path` itself
    _Path = type(Path())


class LocalPath(_Path):
    """A path of this machine. What is not here `pathlib.Path` has."""

    __slots__ = ()
    scheme = "file"
    extra = ""
    is_store: Literal[False] = False
    is_file_system = True

    def with_options(self, options: object) -> LocalPath:
        """The path itself: nothing is to be said about how it is reached."""
        return self

    def listed(self) -> LocalPath:
        """The path itself: asking the file system takes no request."""
        return self

    def unlisted(self) -> LocalPath:
        """The path itself."""
        return self

    def below(self, folder: object) -> str | None:
        """The path below a folder, with `/`; None where it does not lie there."""
        if not isinstance(folder, Path) or not self.is_relative_to(folder):
            return None
        return self.relative_to(folder).as_posix()

    def inside(self, relative: str) -> LocalPath:
        """The path of a file in it, which may not lead out; see `join_inside`."""
        return LocalPath(join_inside(self, relative))

    def state(self) -> State:
        """Size and times of the last change: the second none but the system sets.

        Raises:
          OSError: If it is not there.
        """
        return _state_of(self.stat())

    def state_inside(self, relative: str) -> State:
        """The state of a file in it: `inside(relative).state()`, in half the time.

        Raises:
          AnnotationError: If the path leads out.
          OSError: If it is not there.
        """
        return _state_of(os.stat(join_inside(self, relative)))

    def version(self) -> str:
        """Empty: a file system cannot tell whether a file is the very same."""
        return ""

    def entries(self) -> list[Entry]:
        """What lies in a folder, in the order of names: files, links and folders.

        Raises:
          OSError: If there is no such folder.
        """
        with os.scandir(self) as found:
            # A broken link is told, a pipe too: reading it says what it is.
            entries = [
                Entry(entry.name, _leads_to_folder(entry), entry.is_symlink())
                for entry in found
            ]
        return sorted(entries)

    def sorted_glob(self, pattern: str) -> list[LocalPath]:
        """The paths below that match, sorted."""
        return sorted(self.glob(pattern))

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> list[Result]:
        """The results, in order, of a function that reads or writes files below."""
        return [function(item) for item in items]

    def exists(self) -> bool:
        """Whether anything is there; nothing has a name that is too long."""
        return _is_so(super().exists)

    def is_file(self) -> bool:
        """Whether a file is there, likewise."""
        return _is_so(super().is_file)

    def is_dir(self) -> bool:
        """Whether a folder is there, likewise."""
        return _is_so(super().is_dir)

    def resolve(self, strict: bool = False) -> LocalPath:
        """The path without links.

        Raises:
          OSError: If they lead in circles.
        """
        try:
            return super().resolve(strict)
        except RuntimeError:  # Python 3.11's word for it
            code = errno.ELOOP
            raise OSError(code, os.strerror(code), str(self)) from None

    # Any: as `pathlib.Path` has it, whose kind of file follows from the mode.
    def open(self, mode: str = "r", *args: Any, **options: Any) -> Any:
        """Opens the file; to read it, it must be one: see `_open_file`."""
        if mode in ("r", "rb"):
            options["opener"] = _open_file
        return open(self, mode, *args, **options)

    def read_bytes(self) -> bytes:
        """The whole file, read without a buffer."""
        with self.open("rb", buffering=0) as file:
            data: bytes = file.read()
            return data

    def read_start(self, size: int) -> bytes:
        """The first bytes, or all of them where there are no more."""
        with self.open("rb", buffering=0) as file:
            data: bytes = file.read(size)
            return data

    @contextmanager
    def open_at(self, offset: int, size: int) -> Iterator[IO[bytes]]:
        """Opens a file to read some of it."""
        with self.open("rb") as file:
            yield file

    def write_atomic(self, data: bytes, *, durable: bool = True) -> None:
        """Writes a small file in one go, whole or not at all; see `atomic_file`."""
        with self.atomic_file(durable=durable) as file:
            file.write(data)

    @contextmanager
    def atomic_file(self, *, durable: bool = True) -> Iterator[IO[bytes]]:
        """Opens a file that appears under its name only when it is whole.

        Every attempt writes a file of its own, so two attempts at one file never mix;
        the last to finish stays. On an error nothing appears or is left over.

        Args:
          durable: Whether it must be on disk before it appears. Syncing costs as much
            as some ten records; what a build can make again does without.

        Raises:
          OutputError: If writing fails (permissions, a full disk).
        """
        temporary = self.with_name(temporary_name(self.name))
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, self)
        except StorageError:  # of the source, while a record was read
            raise
        except OSError as error:
            advice = "Free space or check the permissions"
            raise not_written(self, error, advice) from error
        finally:
            with suppress(OSError):  # would hide the error that is on its way
                temporary.unlink(missing_ok=True)

    def move_to(self, target: object) -> None:
        """Gives a file another name in this file system, in place of what has it."""
        if not isinstance(target, Path):
            raise ValueError(f"{target} is not on this machine, as {self} is")
        os.replace(self, target)

    def remove_tree(self, *, ignore_errors: bool = False) -> None:
        """Removes a folder and all that is below it."""
        shutil.rmtree(self, ignore_errors=ignore_errors)

    @contextmanager
    def temporary_folder(self, prefix: str, mode: int = 0o700) -> Iterator[LocalPath]:
        """A folder in it of another name each time, which is removed afterwards.

        Those of the same prefix whose process was killed are removed too.
        """
        remove_abandoned(self, prefix)
        folder = self / f"{prefix}{uuid.uuid4().hex[:12]}"
        folder.mkdir(mode)
        number = hold(folder)
        try:
            yield folder
        finally:
            folder.remove_tree(ignore_errors=True)
            release(number)

    def sync(self) -> None:
        """Puts renames and removals in a folder on disk, in the order they were made.

        Windows cannot: it opens no folders.
        """
        if not hasattr(os, "O_DIRECTORY"):
            return
        number = os.open(self, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _open_file(path: str, flags: int) -> int:
    """Opens what is a file: a pipe is waited for without end, a device has no end.

    Asked once it is open: what a name stands for may change at any moment.
    """
    try:
        number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except BlockingIOError:  # a file server holds a lease on it, which it gives up
        number = os.open(path, flags)
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return number
    os.close(number)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is a pipe or device, no file", path)


def _state_of(found: os.stat_result) -> State:
    return found.st_size, f"{found.st_mtime_ns} {found.st_ctime_ns}"


def _is_so(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False
