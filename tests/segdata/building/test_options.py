"""What can be asked of a build."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest

from segdata.building.build import build
from segdata.building.options import BuildOptions, parse_mask_forms
from segdata.errors import OptionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_shards": 0}, r"--shards is 0: expected 1 to 99999"),
        ({"num_shards": 100_000}, r"--shards is 100000"),
        ({"shard_bytes": 0}, r"--shard-size is 0: expected at least 1"),
        ({"max_reject_share": 1.5}, r"--max-rejects is 1.5: expected a share"),
        ({"max_reject_share": float("nan")}, r"--max-rejects is nan"),
        ({"exif": "yes"}, r"--exif is 'yes': expected one of auto, apply, ignore"),
        ({"check": "all"}, r"--check is 'all': expected one of structure, pixels"),
        ({"on_error": "ignore"}, r"--on-error is 'ignore': expected fail or skip"),
    ],
)
def test_impossible_option_is_refused_when_it_is_given(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        BuildOptions(**options)


@pytest.mark.parametrize(
    ("text", "forms"),
    [("rle", ("rle",)), ("rle,png", ("rle", "png")), (" png , rle ", ("rle", "png"))],
)
def test_forms_are_read_in_any_order(text: str, forms: tuple[str, ...]) -> None:
    assert parse_mask_forms(text) == forms


@pytest.mark.parametrize("text", ["png", "", "rle,", "rle,rle", "rle,jpeg", "RLE"])
def test_other_forms_are_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(OptionError, match=r"--masks is '.*': expected 'rle' or 'rle,p"):
        parse_mask_forms(text)


def test_build_options_refuse_masks_without_runs() -> None:
    with pytest.raises(OptionError, match="--masks is 'png'"):
        BuildOptions(masks=("png",))


def test_build_takes_every_option_by_the_same_name_and_none_is_not_stated() -> None:
    parameters = inspect.signature(build).parameters
    for field in fields(BuildOptions):
        # A format, or a name and its options; what is noted of it.
        if field.name not in ("format", "of_format"):
            assert parameters[field.name].default is None
