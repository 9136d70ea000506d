"""JSON files whose last field is the SHA-256 of all before it: a changed bit shows.

It keeps off damage, not people: whoever edits a file can write the field anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

_FIELD = b',\n  "sha256": "'
_END = b'"\n}\n'


def sealed(data: Mapping[str, Any]) -> bytes:
    """A JSON object, indented, with its seal."""
    body = orjson.dumps(data, option=orjson.OPT_INDENT_2).removesuffix(b"\n}")
    return body + _FIELD + hashlib.sha256(body).hexdigest().encode() + _END


def is_whole(text: bytes) -> bool:
    """Whether a file is as it was written; one without the field counts as whole.

    Files of earlier versions have none.
    """
    body, field, rest = text.rpartition(_FIELD)
    if field:
        return rest == hashlib.sha256(body).hexdigest().encode() + _END
    try:
        data = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(data, dict) and "sha256" not in data
