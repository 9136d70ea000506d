"""HDFS over HTTP: fsspec's client of WebHDFS, with files that appear whole.

That client (2026.9) writes under the final name, piece by piece; does not look whether
a rename or removal was done; takes a datanode's error for the bytes of a file; leaves
out of a listing what it cannot list; and waits for ever. What is here does not. Its
addresses, authentication and reading of errors are used as they are.

The interface: https://hadoop.apache.org/docs/r3.4.1/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast
from urllib.parse import urlsplit

import requests
from fsspec.implementations.webhdfs import WebHDFS
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from segdata.storage.temporary import temporary_name

_TIMEOUT_S = (20.0, 120.0)  # to connect; between two pieces of an answer
# Only what was never sent is sent again: a request that came to nothing is told.
_RETRIES = Retry(
    total=None, connect=2, read=0, redirect=0, status=0, other=0, backoff_factor=0.2
)
_PORT_ADVICE = (
    "Check the address: its port is that of the namenode's web interface (WebHDFS, "
    "9870 by default), not of its RPC (8020, 9000)"
)


class HadoopFileSystem(WebHDFS):  # type: ignore[misc]
    """HDFS as segdata uses it. Paths begin with a slash.

    Everything raises `FileNotFoundError` where there is no such file, and `OSError`
    with one line for whatever else the servers say.
    """

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """What lies at a path."""
        found = self._answer("GETFILESTATUS", "get", path, "FileStatus")
        return cast(dict[str, Any], self._process_info({**found, "name": path}))

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> list[Any]:
        """What lies in a folder; of a file, nothing."""
        found = self._answer("LISTSTATUS", "get", path, "FileStatuses")["FileStatus"]
        infos = [
            self._process_info(
                {**info, "name": f"{path.rstrip('/')}/{info['pathSuffix']}"}
            )
            for info in found
            if info["pathSuffix"]  # a file is listed as itself, without a name
        ]
        return infos if detail else [info["name"] for info in infos]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All files below a folder, which is asked for folder by folder.

        A folder that cannot be listed is an error, not an empty one.
        """
        found: dict[str, dict[str, Any]] = {}
        folders = [path]
        while folders:
            folder = folders.pop()
            try:
                infos = self.ls(folder, detail=True)
            except FileNotFoundError:
                if folder != path:
                    raise
                break
            for info in infos:
                if info["type"] == "directory":
                    folders.append(info["name"])
                else:
                    found[info["name"]] = info
        return found if detail else list(found)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes of a file: one request to the namenode, one to a datanode."""
        wanted: dict[str, Any] = {}
        if start:
            wanted["offset"] = start
        if end is not None:
            wanted["length"] = end - (start or 0)
        return self._call("OPEN", path=path, **wanted).content

    def pipe_file(self, path: str, value: bytes, mode: str = "", **kwargs: Any) -> None:
        """Writes a file, which appears when it is whole."""
        self._write(path, value)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        """Writes a file from one of this machine; it appears when it is whole."""
        with open(lpath, "rb") as file:
            self._write(rpath, file)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Renames a file, in one step in place of the one that has the name."""
        answer = self._call(
            "RENAME",
            method="put",
            path=path1,
            destination=path2,
            renameoptions="OVERWRITE",
        )
        # A namenode that knows the option answers nothing; others do not overwrite, and
        # answer whether they renamed.
        if answer.content and not self._told(answer, "boolean"):
            raise OSError(
                f"this server did not rename {path1} to {path2}: it must replace files "
                "in one step (RENAME with OVERWRITE), as namenodes do and HttpFS "
                "gateways do not"
            )

    def rm(self, path: str, recursive: bool = False, **kwargs: Any) -> None:
        """Removes a file, an empty folder, or a folder and all below it."""
        asked = "true" if recursive else "false"
        if not self._answer("DELETE", "delete", path, "boolean", recursive=asked):
            raise _no_such_file(path)

    def rmdir(self, path: str) -> None:
        """Removes an empty folder."""
        self.rm(path)

    def _write(self, path: str, data: bytes | IO[bytes]) -> None:
        # A file that is being written is seen, as long as it has: under a name of its
        # own. Attempts at one file never mix, and the last to be whole stays.
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/{temporary_name(name)}"
        try:
            self._create(temporary, data)
            self.mv(temporary, path)
        except BaseException:
            with suppress(Exception):  # would hide the error that is on its way
                self.rm(temporary)
            raise

    def _create(self, path: str, data: bytes | IO[bytes]) -> None:
        """Writes a new file; the folders on its way are made."""
        namenode = self._call("CREATE", "put", path, redirect=False, overwrite="false")
        place = namenode.headers.get("Location")
        if place is None:
            raise OSError(_is_no_webhdfs(namenode))
        with self._plain_errors(path):
            # Answered with 201 when the datanodes have all of it.
            datanode = self.session.put(
                self._apply_proxy(place),
                data=data,
                headers={"content-type": "application/octet-stream"},
            )
            if not datanode.ok:
                raise OSError(_remote_message(datanode))

    def _connect(self) -> None:
        super()._connect()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter(max_retries=_RETRIES))

    def _call(
        self, op: str, method: str = "get", path: str | None = None, **kwargs: Any
    ) -> requests.Response:
        with self._plain_errors(path):
            answer = super()._call(op, method, path=path, **kwargs)
        return cast(requests.Response, answer)

    def _answer(self, op: str, method: str, path: str, name: str, **kwargs: Any) -> Any:
        return self._told(self._call(op, method, path, **kwargs), name)

    def _told(self, answer: requests.Response, name: str) -> Any:
        """What an answer holds under a name."""
        try:
            return answer.json()[name]
        except (ValueError, KeyError, TypeError):
            raise OSError(_is_no_webhdfs(answer)) from None

    @contextmanager
    def _plain_errors(self, path: str | None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _no_such_file(path) from error
        except requests.HTTPError as error:
            raise OSError(_is_no_webhdfs(error.response)) from error
        except requests.RequestException as error:
            place = urlsplit(str(error.request.url) if error.request else "").netloc
            advice = _PORT_ADVICE
            if place != urlsplit(self.url).netloc:
                advice = (
                    "The namenode names this datanode: it must be reachable from here"
                )
            raise OSError(
                f"{place} cannot be reached: {_reason(error)}. {advice}"
            ) from error
        except (PermissionError, RuntimeError, ValueError) as error:
            # What a server says. It may go on with a stack of Java.
            raise OSError(str(error).partition("\n")[0].rstrip()) from error


class _Adapter(HTTPAdapter):
    """Sends requests that do not wait for ever."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or _TIMEOUT_S
        return super().send(*args, **kwargs)


def _no_such_file(path: str | None) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "No such file", path)


def _is_no_webhdfs(answer: requests.Response | None) -> str:
    if answer is None:
        return f"what answers is no WebHDFS. {_PORT_ADVICE}"
    place = urlsplit(answer.url).netloc
    status = f"{answer.status_code} {answer.reason}"
    return f"what answers at {place} is no WebHDFS ({status}). {_PORT_ADVICE}"


def _remote_message(answer: requests.Response) -> str:
    """Why a datanode refused, in one line."""
    try:
        message = str(answer.json()["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{urlsplit(answer.url).netloc}: {answer.status_code} {answer.reason}"
    return message.partition("\n")[0].rstrip()


def _reason(error: BaseException) -> str:
    """What the system said of a connection, in its own words."""
    cause: BaseException | None = error
    while cause is not None:
        is_ours = isinstance(cause, OSError) and not isinstance(
            cause, requests.RequestException
        )
        if is_ours and getattr(cause, "strerror", None):
            return str(cause.strerror)  # type: ignore[attr-defined]
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
