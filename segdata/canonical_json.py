"""JSON of the source's own fields, the same bytes whatever their order was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from segdata.errors import AnnotationError


def canonical_json(fields: Mapping[str, Any], called: str) -> bytes:
    """A JSON object with sorted keys and nothing between its parts, UTF-8.

    Args:
      fields: JSON-able values; NumPy's numbers and arrays will do.
      called: Whose fields they are, for messages.

    Raises:
      AnnotationError: If a value is none that JSON knows, or nested too deep.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(fields, option=options)
    except TypeError as error:
        raise AnnotationError(
            f"the fields of {called} cannot be stored as JSON: {error}. Expected "
            "numbers, UTF-8 texts, lists and dicts."
        ) from error
