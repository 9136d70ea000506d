"""Stores that are no file system of this machine, and how they are reached.

They are reached through fsspec's packages (`s3fs`, `gcsfs`; for HDFS its client of
WebHDFS, see `storage.webhdfs`), not through Beam's own `FileSystems`: those build a new
client for every file that is opened (147 ms of one core where s3fs takes 3), cannot
write an empty object, list a bucket that does not exist as empty, and put a torn object
under its final name where writing fails midway.
Beam's options (`--s3_endpoint_url` ...) are understood all the same, see
`segdata.pipelines.storage_options`.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from segdata.errors import (
    MissingDependencyError,
    OptionError,
    SegdataError,
    StorageError,
)
from segdata.storage import hdfs_address


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """One kind of store."""

    protocol: str
    """fsspec's name of it."""
    package: str
    """The package that fsspec needs for it."""
    extra: str
    """The extra of segdata that installs it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it is opened with, whatever the user says."""
    upload_options: Mapping[str, Any] = field(default_factory=dict)
    """What `put_file` is called with."""
    logger: str = ""
    """Where the package logs, if not by its own name."""
    is_file_system: bool = False
    """Whether it has folders, names of servers in place of buckets, and renames."""


# One request at a time, as many workers run side by side: an upload holds one part in
# memory, and a whole object is read by one request, without asking for its size.
_PART_BYTES = 16 << 20
_STORES = {
    "s3": Store(
        protocol="s3",
        package="s3fs",
        extra="s3",
        options={"max_concurrency": 1},
        upload_options={"chunksize": _PART_BYTES},
    ),
    "gs": Store(
        protocol="gs",
        package="gcsfs",
        extra="gcs",
        # It frames small uploads by a fixed line, and sends no hash: what the store
        # has is compared with what was meant, or a cut object would pass for whole.
        options={"consistency": "md5"},
        upload_options={"chunksize": _PART_BYTES},
    ),
    "hdfs": Store(
        protocol="webhdfs",
        package="requests",
        extra="hdfs",
        logger="urllib3",
        is_file_system=True,
    ),
}
_CREDENTIALS = (
    "They are looked for where the store's own tools do, such as the environment, "
    "~/.aws or gcloud; docs/storage.md lists the places"
)
# gcsfs tells an address for every 404. One that ends with the bucket's objects is of a
# listing or an upload, which fail so only where there is no bucket.
_NO_BUCKET_IN_GCS = re.compile(r"(https?://\S*/)?b/[^/\s]+/o")
_OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


def scheme_of(name: str) -> str:
    """The scheme as we call it: `s3a` -> `s3`.

    Raises:
      OptionError: If it is none that is known.
    """
    scheme = _OTHER_NAMES.get(name, name)
    if scheme not in _STORES:
        raise OptionError(
            f"{name}:// is not supported: expected a path of this machine, or one that "
            f"begins with {' or '.join(f'{known}://' for known in _STORES)}."
        )
    return scheme


def store_of(scheme: str) -> Store:
    """What is known of a scheme."""
    return _STORES[scheme]


def filesystem(scheme: str, options: Mapping[str, Any], server: str = "") -> Any:
    """The `fsspec.AbstractFileSystem` of a scheme; the same one for equal options.

    Args:
      scheme: `s3`, `gs` or `hdfs`.
      options: What it is opened with beside our own.
      server: Host and port, of a file system.

    Raises:
      MissingDependencyError: If a package for it is not installed.
      OptionError: If the server is none.
    """
    store = _STORES[scheme]
    # Listings are not kept: other processes write into the same folders.
    fixed = {"use_listings_cache": False, **store.options}
    _hush(store.logger or store.package)
    try:
        if store.is_file_system:
            from segdata.storage.webhdfs import HadoopFileSystem

            fixed |= hdfs_address.server_options(server)
            user = {} if "user" in options else hdfs_address.user_options()
            return HadoopFileSystem(**fixed, **user, **options)
        if scheme == "gs" and os.environ.get("STORAGE_EMULATOR_HOST"):
            # Not the class that asks by gRPC for the kind of each bucket: no emulator
            # answers, and it waits for minutes.
            from gcsfs.core import GCSFileSystem

            return GCSFileSystem(**fixed, **options)
        import fsspec

        return fsspec.filesystem(store.protocol, **fixed, **options)
    except ImportError as error:
        raise MissingDependencyError(
            f"{scheme}:// needs the package {store.package}: pip install "
            f"'segdata[{store.extra}]', on every worker too."
        ) from error


def _hush(package: str) -> None:
    """Keeps a package from logging what it raises: the user reads it as one line."""
    if logging.getLogger(package).level == logging.NOTSET:
        logging.getLogger(package).setLevel(logging.CRITICAL)


@contextmanager
def plain_errors(where: object, bucket: str) -> Iterator[None]:
    """Turns what a store's package raises into `OSError` with one line.

    Args:
      where: The path that is asked for.
      bucket: The address of its bucket or server.

    Raises:
      FileNotFoundError: If there is no such object.
      StorageError: For anything else: no such bucket, no credentials, no network.
    """
    try:
        yield
    except SegdataError:
        raise
    except FileNotFoundError as error:
        text = str(error.strerror or error)
        if _NO_BUCKET_IN_GCS.fullmatch(text):
            text = "The specified bucket does not exist"
        if "bucket" in text.lower() and "exist" in text.lower():
            text = text.rstrip(".")
            raise StorageError(
                f"{bucket}: {text}.", reason="no-bucket", strerror=text
            ) from error
        raise FileNotFoundError(errno.ENOENT, "No such object", str(where)) from error
    except Exception as error:  # each package has its own
        text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        # gcsfs goes on without credentials where it finds none, to be told 401.
        is_nobody = getattr(error, "code", None) == 401
        if is_nobody or "credentials" in f"{text} {type(error).__name__}".lower():
            text += f". {_CREDENTIALS}"
            where = bucket
        raise StorageError(f"{where}: {text}.", strerror=text) from error
