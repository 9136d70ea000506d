"""Where a pipeline runs: options that its result does not depend on. No Beam here."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from segdata.errors import OptionError

LOCAL_RUNNERS = (None, "local", "DirectRunner", "FnApiRunner")
"""Names that all mean: on this machine, by FnApiRunner."""


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """Where and how wide a pipeline runs; its result does not depend on it."""

    runner: str | None = None
    """Beam runner by name; None: on this machine."""
    workers: int | None = None
    """Worker processes of a local run; 1 runs inside this process; None: as many as
    there are cores, or fewer where the work is not worth starting them."""
    beam_args: tuple[str, ...] = ()
    """Beam's own options, as on its command line."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers is {self.workers}: expected at least 1.")
        for argument in self.beam_args:
            if "multi_threading" in argument:
                raise OptionError(
                    "direct_running_mode=multi_threading is refused: Beam 2.77 loses "
                    "records with it without an error. Use --workers N: processes."
                )
            if self.is_local and argument.startswith(("--direct_", "--runner")):
                raise OptionError(
                    f"{argument.partition('=')[0]} is set by segdata: use --workers N "
                    "or --runner NAME."
                )

    @property
    def is_local(self) -> bool:
        """Whether the pipeline runs on this machine."""
        return self.runner in LOCAL_RUNNERS

    def sized(self, worthwhile: int) -> RunnerOptions:
        """The same with `workers` settled: as asked for, else at most so many."""
        if self.workers is not None:
            return self
        workers = max(1, min(len(os.sched_getaffinity(0)), worthwhile))
        return replace(self, workers=workers)
