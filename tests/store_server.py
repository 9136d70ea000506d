"""What the servers of stores on loopback share: seen, held back, refused requests."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from segdata.building.directory import NOTES_NAME

BUCKET = "data"


class Held:
    """Requests that wait.

    Attributes:
      came: Set when the first one is there.

    Args:
      after: How many go before.
      only_one: Whether those that come behind the first one go too.
    """

    def __init__(self, after: int = 0, only_one: bool = False) -> None:
        self.came = threading.Event()
        self._may_go = threading.Event()
        self._numbers, self._after, self._only_one = count(), after, only_one

    def wait(self) -> None:
        """Called by a request."""
        number = next(self._numbers) - self._after
        if number == 0 or (number > 0 and not self._only_one):
            self.came.set()
            self._may_go.wait(60)

    def let_go(self) -> None:
        self._may_go.set()


class StoreServer:
    """A store of objects with one bucket.

    Requests are told as S3 has them, whatever the store: `PUT` writes or copies to the
    key, `GET` reads it, `HEAD` asks for what is known of it, and without a key `GET`
    lists.

    Attributes:
      scheme: That of its addresses.
      requests: `METHOD /bucket/key?query` of everything that was asked for.
    """

    scheme: str

    def __init__(self) -> None:
        self._rules: list[tuple[re.Pattern[str], Held | int]] = []
        self.requests: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which it is found."""
        raise NotImplementedError

    @property
    def replaced_by_beam_args(self) -> tuple[str, ...]:
        """Those of the variables that Beam's options stand for."""
        raise NotImplementedError

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam's options that reach it."""
        raise NotImplementedError

    def put(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def get(self, key: str) -> bytes:
        raise NotImplementedError

    def remove(self, key: str) -> None:
        raise NotImplementedError

    def all_keys(self) -> list[str]:
        raise NotImplementedError

    @contextlib.contextmanager
    def holding(self, pattern: str, **options: Any) -> Iterator[Held]:
        """Lets requests wait that match `METHOD /bucket/key?query`."""
        held = Held(**options)
        with self._rule(pattern, held):
            yield held
        held.let_go()

    @contextlib.contextmanager
    def refusing(self, pattern: str, status: int) -> Iterator[None]:
        """Answers those that match with a status."""
        with self._rule(pattern, status):
            yield

    @contextlib.contextmanager
    def _rule(self, pattern: str, what: Held | int) -> Iterator[None]:
        rule = (re.compile(pattern), what)
        self._rules.append(rule)
        try:
            yield
        finally:
            self._rules.remove(rule)

    def refusal(self, request: str) -> int | None:
        """Notes a request and lets it wait; the status to refuse it with, if any."""
        self.requests.append(request)
        for pattern, what in list(self._rules):
            if pattern.search(request):
                if isinstance(what, int):
                    return what
                what.wait()
        return None

    def upload(self, folder: Path, prefix: str) -> str:
        """Puts a folder there; returns its address."""
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                self.put(key, path.read_bytes())
        return self.address(prefix)

    def address(self, key: str) -> str:
        return f"{self.scheme}://{BUCKET}/{key}"

    def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix, without it."""
        below = (key for key in self.all_keys() if key.startswith(f"{prefix}/"))
        return [key.removeprefix(f"{prefix}/") for key in below]

    def wait_for(self, key: str) -> None:
        """Returns when an object is there."""
        deadline = time.monotonic() + 30
        while key not in self.all_keys():
            assert time.monotonic() < deadline, f"{key} was never written"
            time.sleep(0.02)

    def hashes(self, prefix: str) -> dict[str, str]:
        """As the fixture `file_hashes`."""
        return {
            key: hashlib.sha256(self.get(f"{prefix}/{key}")).hexdigest()
            for key in self.keys(prefix)
            if key.rpartition("/")[2] != NOTES_NAME
        }
