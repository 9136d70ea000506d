from __future__ import annotations

import pytest
from click import BadParameter

from segdata.commands.sizes import ByteSize


@pytest.mark.parametrize("text", ["12", "128", "999999"])
def test_small_size_without_a_unit_is_refused(text):
    with pytest.raises(
        BadParameter, match=f"'{text}' has no unit: expected e.g. {text}MiB"
    ):
        ByteSize().convert(text, None, None)


@pytest.mark.parametrize(("text", "size"), [("12B", 12), ("1000000", 10**6)])
def test_size_that_is_meant_is_taken(text, size):
    assert ByteSize().convert(text, None, None) == size
