"""Versions that the bytes of a build depend on, alike in every process of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from segdata.errors import BuildError
from segdata.version import __version__

_PACKAGES = ("numpy", "pillow", "pycocotools", "protobuf")


@functools.cache
def byte_versions() -> Mapping[str, str]:
    """Versions of everything that decides what bytes a build writes."""
    found = {package: _version(package) for package in _PACKAGES}
    return MappingProxyType({"segdata": __version__, **found})


def check_versions(expected: Mapping[str, str]) -> None:
    """Refuses to work where other versions are installed than where a build began.

    Raises:
      BuildError: If one differs; its bytes would lie under the build's fingerprint.
    """
    here = byte_versions()
    differing = [
        f"{name} {here.get(name, 'not there')} in place of {wanted}"
        for name, wanted in expected.items()
        if here.get(name) != wanted
    ]
    if differing:
        raise BuildError(
            f"this worker has other versions than the build began with: "
            f"{', '.join(differing)}. Install the same ones on all machines.",
            reason="other-versions",
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not there"
