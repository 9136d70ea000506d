"""Which server of HDFS an address means, and as whom it is asked.

The port is that of WebHDFS, HDFS's interface over HTTP: the namenode's web port. In
addresses of Hadoop's own tools it is that of its RPC, which only Java speaks.
"""

from __future__ import annotations

import getpass
import os
from typing import Any
from urllib.parse import urlsplit

from segdata.errors import OptionError

DEFAULT_PORT = 9870
"""Where a namenode of Hadoop 3 answers WebHDFS, unless it is told otherwise
(`dfs.namenode.http-address`)."""
_FORM = "expected hdfs://HOST:PORT/FOLDER, with the namenode's web port"


def server_options(server: str) -> dict[str, Any]:
    """Host and port of a server: `namenode:9870`, `namenode`, `[::1]:9870`.

    Raises:
      OptionError: If it is empty, or no such name.
    """
    if not server:
        raise OptionError(
            f"an address in hdfs:/// names no server: {_FORM}, or --hdfs_host=HOST "
            "after `--` where a command takes Beam's options."
        )
    try:
        parts = urlsplit(f"//{server}")
        host, port = parts.hostname, parts.port
    except ValueError:  # the port is no number, or too large; a bracket is open
        host = port = None
    if not host or "@" in server:
        raise OptionError(f"hdfs://{server} names no server: {_FORM}.")
    host = f"[{host}]" if ":" in host else host
    return {"host": host, "port": DEFAULT_PORT if port is None else port}


def user_options() -> dict[str, Any]:
    """The user, as Hadoop's own tools find it: `HADOOP_USER_NAME`, or the login's name.

    Empty where fsspec's configuration (`FSSPEC_WEBHDFS_KERBEROS`, `..._TOKEN`) says how
    to authenticate.
    """
    try:
        from fsspec.config import conf
    except ImportError:  # opening the file system tells
        conf = {}
    if {"user", "kerberos", "token"} & set(conf.get("webhdfs", ())):
        return {}
    try:
        return {"user": os.environ.get("HADOOP_USER_NAME") or getpass.getuser()}
    except (KeyError, OSError):  # a container whose user has no name
        return {}
