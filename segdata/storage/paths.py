"""Where files lie: the two classes of places, and which of them an address means.

`LocalPath` is a path of this machine, `StorePath` one in a store. Both have the same
methods, so that code behind `locate` never asks which one it has.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from segdata.errors import OptionError
from segdata.storage import hdfs_address, stores
from segdata.storage.local_path import LocalPath
from segdata.storage.store_path import StorePath

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_COLLAPSED = re.compile(r"(s3|s3a|gs|gcs|hdfs):/[^/]")

Location = LocalPath | StorePath
"""Where a file or folder lies: on this machine, or in a store."""

Address = str | os.PathLike[str] | StorePath
"""What users give: text, a path, or an address such as `s3://bucket/folder`."""


def locate(address: Address) -> Location:
    """The path that text or a path stands for.

    Raises:
      OptionError: If it is of a store that is not supported, or names no bucket or
        no server.
    """
    if isinstance(address, LocalPath | StorePath):
        return address
    text = os.fspath(address)
    match = _ADDRESS.match(text)
    if match is None:
        if _COLLAPSED.match(text) and not os.path.exists(text):
            raise OptionError(
                f"{text} lost a slash: pass an address such as s3://bucket/folder as "
                "text, not as a pathlib.Path."
            )
        return LocalPath(text)
    name, below = match[1].lower(), match[2]
    if name == "file":
        return LocalPath(below)
    scheme = stores.scheme_of(name)
    path = PurePosixPath(below.strip("/"))
    if stores.store_of(scheme).is_file_system:
        return StorePath(scheme, _below_server(text, below, path))
    if not path.parts or ".." in path.parts or below.startswith("/"):
        raise OptionError(
            f"{text} names no bucket and folder: expected {scheme}://BUCKET/FOLDER."
        )
    return StorePath(scheme, path)


def _below_server(text: str, below: str, path: PurePosixPath) -> PurePosixPath:
    """Server and path of an address; the path alone, absolute, of `hdfs:///path`."""
    if not below or ".." in path.parts:
        raise OptionError(
            f"{text} names no server and folder: expected hdfs://HOST:PORT/FOLDER."
        )
    if below.startswith("/"):
        return PurePosixPath("/") / path
    hdfs_address.server_options(path.parts[0])
    return path
