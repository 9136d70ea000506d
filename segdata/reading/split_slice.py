"""A part of a split, written as TensorFlow Datasets has it: `train[:10%]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from segdata.errors import OptionError

_FORM = re.compile(r"([\w-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSlice:
    """A split, or some of its records in a row."""

    name: str
    """The split."""
    start: str | None = None
    """Where it begins: a position, or a share such as `10%`; negative: from the end."""
    stop: str | None = None
    """Where it ends, likewise."""

    @classmethod
    def parse(cls, text: str) -> SplitSlice:
        """Reads `train`, `train[:10%]`, `train[100:200]` or `train[-5:]`.

        Raises:
          OptionError: If it is none of these.
        """
        found = _FORM.fullmatch(text)
        if not found:
            raise OptionError(
                f"split is {text!r}: expected the name of a split, or a slice of one "
                "such as train[:10%], train[100:200] or train[-5:]."
            )
        return cls(name=found[1], start=found[2], stop=found[3])

    def bounds(self, num_records: int) -> tuple[int, int]:
        """First record of a split of so many, and the first one after the slice."""
        places = [
            None if text is None else _place(text, num_records)
            for text in (self.start, self.stop)
        ]
        start, stop, _ = slice(*places).indices(num_records)
        return start, max(start, stop)


def _place(text: str, num_records: int) -> int:
    share = text.removesuffix("%")
    return int(share) if share == text else round(int(share) * num_records / 100)
