from __future__ import annotations

import pytest

from segdata.building import versions
from segdata.building.shard import BuildJob, build_shard
from segdata.building.versions import byte_versions, check_versions
from segdata.errors import BuildError
from segdata.label_map import LabelMap


def test_the_same_versions_are_no_problem() -> None:
    check_versions(byte_versions())


def test_worker_of_other_versions_refuses(tmp_path) -> None:
    job = BuildJob(
        source=tmp_path,
        out=tmp_path,
        label_map=LabelMap(),
        on_error="skip",
        versions={**byte_versions(), "numpy": "0.1", "mine": "7"},
    )
    expected = r"numpy \S+ in place of 0.1, mine not there in place of 7. Install"
    with pytest.raises(BuildError, match=expected) as caught:
        build_shard(None, job, lambda count: None)  # type: ignore[arg-type]
    assert caught.value.reason == "other-versions"


def test_package_that_is_not_there_is_told() -> None:
    assert versions._version("no-such-package-of-anybody") == "not there"
