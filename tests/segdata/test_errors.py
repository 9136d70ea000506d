from __future__ import annotations

import inspect
import pickle

import pytest

from segdata import errors
from segdata.errors import AnnotationError, OptionError, RecordError, SegdataError

ALL_ERRORS = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, Exception)
]


@pytest.mark.parametrize("kind", ALL_ERRORS)
def test_every_error_is_a_segdata_error_with_a_kebab_case_reason(kind):
    error = kind("something is wrong")
    assert isinstance(error, SegdataError)
    assert error.reason == kind.reason
    assert error.reason.replace("-", "").isalpha()
    assert error.reason == error.reason.lower()


def test_reasons_of_the_classes_differ():
    reasons = [kind.reason for kind in ALL_ERRORS]
    assert sorted(set(reasons)) == sorted(reasons)


def test_message_is_one_line_whatever_was_quoted():
    assert str(SegdataError("bad\n  name\r\n\t'x'")) == "bad name 'x'"


def test_own_reason_replaces_the_one_of_the_class():
    error = AnnotationError("no", reason="bad-rle")
    assert error.reason == "bad-rle"
    assert AnnotationError("no").reason == "bad-annotation"


@pytest.mark.parametrize("kind", ALL_ERRORS)
def test_error_survives_pickling_with_its_reason(kind):
    error = pickle.loads(pickle.dumps(kind("label is gone", reason="label-missing")))
    assert type(error) is kind
    assert str(error) == "label is gone"
    assert error.reason == "label-missing"


@pytest.mark.parametrize("kind", [errors.AnnotationError, errors.ImageError])
def test_errors_of_one_record_can_be_skipped(kind):
    assert issubclass(kind, RecordError)


@pytest.mark.parametrize(
    "kind",
    [
        errors.SourceError,
        errors.OptionError,
        errors.OutputError,
        errors.BuildError,
        errors.CorruptionError,
        errors.TrainingError,
        errors.MissingDependencyError,
    ],
)
def test_errors_of_the_whole_run_cannot_be_skipped(kind):
    assert not issubclass(kind, RecordError)


def test_errors_are_also_what_python_would_raise():
    assert issubclass(OptionError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("plain, ünïcode 漢字", "plain, ünïcode 漢字"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\x07\x7f\x9b", r"a\x07\x7f\x9b"),
        ("right\u202eleft", r"right\u202eleft"),
        ("two\nlines", r"two\nlines"),
    ],
)
def test_control_characters_are_spelled(text, spelled):
    assert errors.printable(text) == spelled


def test_message_cannot_write_to_the_terminal():
    assert str(SegdataError("class '\x1b]0;x\x07' is\nunknown")) == (
        r"class '\x1b]0;x\x07' is unknown"
    )
