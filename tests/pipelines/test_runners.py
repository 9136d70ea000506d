from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from segdata.errors import (
    BuildError,
    ImageError,
    OptionError,
    OutputError,
    SegdataError,
)
from segdata.pipelines import runners
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import LOCAL_RUNNERS, RunnerOptions


def do_nothing() -> None:
    pass


def raising(error: Exception) -> runners.Wiring:
    """A pipeline whose last step raises."""

    def fail(number: int) -> int:
        with runners.one_line_errors():
            raise error

    def wiring(pipeline: beam.Pipeline) -> None:
        numbers = pipeline | beam.Create([1]) | beam.Reshuffle()
        _ = numbers | "Fail here" >> beam.Map(fail)

    return wiring


# --- what is refused ---


@pytest.mark.parametrize("runner", [*LOCAL_RUNNERS, "PortableRunner"])
def test_multi_threading_is_refused_because_it_loses_records(
    runner: str | None,
) -> None:
    arguments = ("--direct_running_mode=multi_threading",)
    message = r"multi_threading is refused: Beam 2\.77 loses records .* Use --workers N"
    with pytest.raises(OptionError, match=message):
        RunnerOptions(runner=runner, beam_args=arguments)


def test_multi_threading_is_refused_as_an_argument_of_its_own() -> None:
    with pytest.raises(OptionError, match=r"multi_threading is refused"):
        RunnerOptions(
            runner="PortableRunner",
            beam_args=("--direct_running_mode", "multi_threading"),
        )


@pytest.mark.parametrize(
    "argument",
    [
        "--direct_num_workers=4",
        "--direct_running_mode=multi_processing",
        "--runner=Prism",
        "--runner",
    ],
)
def test_what_segdata_sets_itself_is_refused_in_a_local_run(argument: str) -> None:
    name = argument.partition("=")[0]
    with pytest.raises(
        OptionError, match=rf"^{name} is set by segdata: use --workers N"
    ):
        RunnerOptions(beam_args=(argument,))


def test_other_runners_take_their_own_options() -> None:
    options = RunnerOptions(runner="FlinkRunner", beam_args=("--direct_num_workers=4",))
    assert not options.is_local


@pytest.mark.parametrize("runner", ["FlinkRunner", "DataflowRunner"])
def test_a_second_runner_after_the_dashes_is_refused(runner: str) -> None:
    with pytest.raises(OptionError, match=r"^--runner is set by segdata"):
        RunnerOptions(runner=runner, beam_args=("--runner=DirectRunner",))


@pytest.mark.parametrize(
    "runner",
    [
        "directrunner",
        "apache_beam.runners.direct.direct_runner.DirectRunner",
        "SwitchingDirectRunner",
        "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    ],
)
def test_every_name_of_the_local_runner_means_the_same(runner: str) -> None:
    assert RunnerOptions(runner=runner).is_local
    with pytest.raises(OptionError, match=r"multi_threading is refused"):
        RunnerOptions(
            runner=runner, beam_args=("--direct_running_mode=Multi_Threading",)
        )


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        ("BundleBasedDirectRunner", r"BundleBasedDirectRunner is refused: it works in"),
        ("interactiverunner", r"interactiverunner is refused: it keeps what passes"),
        ("PrismRunner", r"PrismRunner needs -- --prism_location=/path/to/prism: else"),
    ],
)
def test_runners_that_would_surprise_are_refused_with_the_reason(
    runner: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        RunnerOptions(runner=runner)


def test_prism_is_taken_where_its_binary_is_named() -> None:
    arguments = ("--prism_location=/opt/prism",)
    assert not RunnerOptions(runner="PrismRunner", beam_args=arguments).is_local


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(OptionError, match=rf"--workers is {workers}: expected at leas"):
        RunnerOptions(workers=workers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--hdfs_hots=a", r"^--hdfs_hots is no option of Beam: did you mean --hdfs_ho"),
        ("--save_main_sesion", r"^--save_main_sesion is no .* --save_main_session\?$"),
        ("--zzzz", r"^--zzzz is no option of Beam\.$"),
        ("--num_workers=many", r"cannot read its .*: argument --num_workers: invalid"),
    ],
)
def test_option_that_beam_does_not_know_is_refused(given: str, message: str) -> None:
    options = RunnerOptions(beam_args=("--hdfs_port=1", given))
    with pytest.raises(OptionError, match=message):
        OnBeam(options)


def test_option_that_another_runner_may_know_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arguments = ("--spark_master=local", "--parallelism=2", "--no_save_main_session")
    OnBeam(RunnerOptions(runner="SparkRunner", beam_args=arguments))
    assert caplog.messages == [
        "--spark_master is no option of Beam; SparkRunner may know it: did you mean "
        "--spark_master_url?"
    ]


# --- how many workers ---


def test_workers_that_were_asked_for_are_kept() -> None:
    assert RunnerOptions(workers=7).sized(1).workers == 7


@pytest.mark.parametrize(("worthwhile", "workers"), [(0, 1), (1, 1), (2, 2), (99, 3)])
def test_workers_are_as_many_as_cores_or_as_the_work_is_worth(
    worthwhile: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert RunnerOptions().sized(worthwhile).workers == workers


# --- errors ---


# What Beam adds to a message, what JSON ends with, and what it escapes.
NASTY = """image 'a"} [while running "b\\n\u00e9' is: {"kind": "x"}. See [1]."""


@pytest.mark.parametrize(
    ("error", "workers"),
    [(OutputError("x"), 1), (ImageError(NASTY, reason="of-its-own"), 2)],
    ids=["plain", "nasty"],
)
def test_error_of_a_step_comes_back_as_it_was_raised(
    error: SegdataError, workers: int
) -> None:
    with pytest.raises(type(error), match=rf"^{re.escape(str(error))}$") as caught:
        runners.run(raising(error), RunnerOptions(workers=workers), do_nothing)
    assert type(caught.value) is type(error)
    assert caught.value.reason == error.reason


def test_error_that_nobody_expected_is_one_line_that_names_its_kind() -> None:
    message = (
        r"^the pipeline failed: ZeroDivisionError: two lines\. Run with -v for Beam's "
        r"whole report\.$"
    )
    error = ZeroDivisionError("two\nlines")
    with pytest.raises(BuildError, match=message):
        runners.run(raising(error), RunnerOptions(workers=1), do_nothing)


def test_error_while_waiting_ends_the_run() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def wiring(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1])

    with pytest.raises(KeyboardInterrupt):
        runners.run(wiring, RunnerOptions(workers=1), interrupt)


# --- worker processes ---


def test_folders_of_the_user_do_not_shadow_ours(
    source: Path, tmp_path: Path, segdata: Any
) -> None:
    home = tmp_path / "home"
    for name in ("pipelines", "segdata", "apache_beam", "numpy"):
        (home / name).mkdir(parents=True)
        (home / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    arguments = ("build", "camvid", source, tmp_path / "out", "--workers=2")
    result = segdata(*arguments, "--shards=2", cwd=home).end()
    assert result.returncode == 0, result.stderr


def test_workers_are_as_many_as_asked_for_and_end_with_the_build(
    source: Path, tmp_path: Path, segdata: Any, pipe: Any
) -> None:
    arguments = ("build", "camvid", source, tmp_path / "out", "--shards=2")
    command = segdata(*arguments, "--workers=3")
    pipe.wait_for_reader()
    lines = [command.processes()[pid] for pid in command.workers()]
    assert len(lines) == 3
    assert all(" -P -m segdata.pipelines.local.worker" in line for line in lines)
    command.process.terminate()
    command.end(timeout=10)
    assert command.ends_all(10)
