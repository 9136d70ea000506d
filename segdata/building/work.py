"""What is to be done, once the source is scanned."""

from __future__ import annotations

from dataclasses import dataclass

from segdata.building.options import BuildOptions
from segdata.building.plan import Plan
from segdata.formats.base import Scan
from segdata.shards.manifest import About
from segdata.shards.work import RunShards
from segdata.storage.paths import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A build that is asked for."""

    name: str
    """The dataset's name."""
    source: Location
    """Folder of the source files."""
    options: BuildOptions
    """The user's options."""
    about: About
    """What the user says of the dataset."""
    run_shards: RunShards
    """How the shards are gone through."""
    scan: Scan
    """What the format found."""
    plan: Plan
    """What a build from scratch would write."""
    settings: str
    """From `output.settings_fingerprint`."""
