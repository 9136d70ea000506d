"""The name of a path in a store, and how the store is reached; it is not asked here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from segdata.errors import OptionError
from segdata.storage import stores
from segdata.storage.inside import checked_parts
from segdata.storage.listing import Listing


class PureStorePath:
    """An address such as `s3://bucket/folder/name`; see `StorePath`.

    Args:
      scheme: `s3`, `gs` or `hdfs`.
      path: Bucket and key; server and path, or the path alone, of a file system.
      options: What the store's fsspec package is opened with beside its defaults;
        they travel with the path to workers.
      listing: What lies below some folder, so that the store need not be asked.
    """

    __slots__ = ("_listing", "_options", "_path", "scheme")

    def __init__(
        self,
        scheme: str,
        path: PurePosixPath,
        options: Mapping[str, Any] | None = None,
        listing: Listing | None = None,
    ) -> None:
        self.scheme = scheme
        self._path = path
        self._options = options or {}
        self._listing = listing

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """The same path, reached with other options."""
        return type(self)(self.scheme, self._path, options, self._listing)

    def unlisted(self) -> Self:
        """The same path: the store is asked what lies there now."""
        return type(self)(self.scheme, self._path, self._options)

    @property
    def is_file_system(self) -> bool:
        """Whether it lies in a file system, with folders and renames, as in HDFS."""
        return stores.store_of(self.scheme).is_file_system

    @property
    def extra(self) -> str:
        """The extra of segdata that reaches it."""
        return stores.store_of(self.scheme).extra

    @property
    def parts(self) -> tuple[str, ...]:
        """Bucket or server and what is below; `/` in place of a server not named."""
        return self._path.parts

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return self._path.suffix

    @property
    def parent(self) -> Self:
        """The folder that it lies in."""
        return self._at(self._path.parent)

    def with_name(self, name: str) -> Self:
        """The path of another name in the same folder."""
        return self._at(self._path.with_name(name))

    def below(self, folder: object) -> str | None:
        """The path below a folder; None where it does not lie there."""
        if not isinstance(folder, PureStorePath) or folder.scheme != self.scheme:
            return None
        is_below = self._path.is_relative_to(folder._path)
        return str(self._path.relative_to(folder._path)) if is_below else None

    def resolve(self) -> Self:
        """The path itself: it is absolute, and there are no links."""
        return self

    def as_posix(self) -> str:
        """The address."""
        return str(self)

    def inside(self, relative: str) -> Self:
        """The path of a file in it, which may not lead out.

        Raises:
          AnnotationError: If it does by its name.
        """
        checked_parts(relative)
        return self / relative

    def __truediv__(self, below: str | PurePosixPath) -> Self:
        if str(below).startswith("/"):
            raise OptionError(f"{below} is not below {self}: expected a relative path.")
        return self._at(self._path / below)

    def __str__(self) -> str:
        return f"{self.scheme}://{self._path}"

    def __repr__(self) -> str:
        # Without options: they may be secret.
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PureStorePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: PureStorePath) -> bool:
        return str(self) < str(other)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.scheme, self._path, self._options  # a listing stays where it is

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.scheme, self._path, self._options = state
        self._listing = None

    @property
    def _place(self) -> PurePosixPath:
        """What the store itself calls the path."""
        if self.is_file_system:
            return PurePosixPath("/", *self._path.parts[1:])
        return self._path

    @property
    def _key(self) -> str:
        return str(self._place)

    def _at(self, path: PurePosixPath) -> Self:
        return type(self)(self.scheme, path, self._options, self._listing)
