"""Where a pipeline runs: options that its result does not depend on. No Beam here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segdata.cpus import num_cpus
from segdata.errors import OptionError

LOCAL_RUNNERS = (
    None,
    "local",
    "DirectRunner",
    "FnApiRunner",
    "SwitchingDirectRunner",
)
"""Names that all mean: on this machine, by FnApiRunner."""

LONG_NAMES = {"daskrunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}
"""Runners that Beam itself does not know by their short names."""

_LOCAL = {name.lower() for name in LOCAL_RUNNERS if name}
_REFUSED = {
    "bundlebaseddirectrunner": "it works in one process and tries a failed shard four "
    "times",
    "interactiverunner": "it keeps what passes through it, and runs on DirectRunner, "
    "which looks for a binary to download first",
    "testdirectrunner": "it is for Beam's own tests",
}


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
        self._check_runner()
        for argument in self.beam_args:
            if "multi_threading" in argument.lower():
                raise OptionError(
                    "direct_running_mode=multi_threading is refused: Beam 2.77 loses "
                    "records with it without an error. Use --workers N: processes."
                )
            is_set_here = argument.startswith("--runner") or (
                self.is_local and argument.startswith("--direct_")
            )
            if is_set_here:
                raise OptionError(
                    f"{argument.partition('=')[0]} is set by segdata: use --workers N "
                    "or --runner NAME."
                )

    def _check_runner(self) -> None:
        if reason := _REFUSED.get(self._short_name):
            raise OptionError(
                f"--runner {self.runner} is refused: {reason}. Leave it out to run on "
                "this machine, with --workers N processes."
            )
        if self._short_name == "prismrunner" and not any(
            argument.startswith("--prism_location") for argument in self.beam_args
        ):
            raise OptionError(
                "--runner PrismRunner needs -- --prism_location=/path/to/prism: else "
                "Beam downloads a binary, and waits for it without end. "
                "Get it by `go install github.com/apache/beam/sdks/v2/go/cmd/prism`."
            )

    @property
    def _short_name(self) -> str:
        """The class's name, as Beam compares it: whatever the case and module."""
        return (self.runner or "local").rpartition(".")[2].lower()

    @property
    def is_local(self) -> bool:
        """Whether the pipeline runs on this machine."""
        return self._short_name in _LOCAL

    def sized(self, worthwhile: int) -> RunnerOptions:
        """The same with `workers` settled: as asked for, else at most so many."""
        if self.workers is not None:
            return self
        workers = max(1, min(num_cpus(), worthwhile))
        return replace(self, workers=workers)
