from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from PIL import Image

from segdata.cli import COMMANDS, cli
from segdata.commands.sizes import ByteSize, format_bytes
from segdata.errors import SegdataError
from segdata.version import __version__

PROGRESS = ("building: ", "verifying: ", "comparing: ")
Finished = subprocess.CompletedProcess[str]


def segdata(*arguments: object, cwd: Path | None = None) -> Finished:
    return subprocess.run(
        [sys.executable, "-P", "-m", "segdata", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )


def without_progress(text: str) -> list[str]:
    """Lines of stderr; a busy machine prints progress between them."""
    return [x for x in text.splitlines() if not x.startswith(PROGRESS)]


def the_error(result: Finished, code: int) -> str:
    """The only line on stderr, where nothing is on stdout."""
    assert result.stdout == ""
    (line,) = without_progress(result.stderr)
    assert result.returncode == code, line
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture(scope="module")
def sample_build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, ...]:
    """`sample`, then `build` of it, in an empty folder."""
    folder = tmp_path_factory.mktemp("cli")
    drawn = segdata("sample", "camvid", "drawn", "--train=4", "--val=2", cwd=folder)
    built = segdata("build", "camvid", "drawn", "out", cwd=folder)
    return drawn, built


@pytest.fixture(scope="module")
def out(
    sample_build: tuple[Finished, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    _, built = sample_build
    assert built.returncode == 0, built.stderr
    return tmp_path_factory.getbasetemp() / "cli0" / "out"


# --- help ---


def modules_after(*arguments: str) -> set[str]:
    """What is imported once `segdata ARGUMENTS` has ended."""
    code = (
        "import sys\nfrom segdata.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('\\0', *sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.partition(".")[0] for name in result.stdout.split("\0")[1].split()}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["-h"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = modules_after(*arguments)
    assert loaded.isdisjoint({"numpy", "apache_beam", "tensorflow", "keras", "PIL"})
    assert "click" in loaded


@pytest.mark.parametrize("command", [*COMMANDS, "build camvid"])
def test_help_of_every_command_imports_neither_beam_nor_tensorflow(
    command: str,
) -> None:
    loaded = modules_after(*command.split(), "--help")
    assert loaded.isdisjoint({"apache_beam", "tensorflow", "keras"})


def test_help_lists_every_command_with_its_line() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in result.output
        assert line in result.output


def test_build_help_has_the_formats_own_options() -> None:
    result = CliRunner().invoke(cli, ["build", "camvid", "--help"])
    for option in ("--classes", "--labels", "--unknown", "--shard-size", "--workers"):
        assert option in result.output


def test_version_is_printed() -> None:
    assert segdata("--version").stdout == f"segdata, version {__version__}\n"


# --- every command on the drawn sample ---


def test_sample_says_what_it_drew(sample_build: tuple[Finished, ...]) -> None:
    drawn, _ = sample_build
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert drawn.stdout == "drew 4 + 2 images in drawn\n"


def test_build_prints_its_summary_on_stdout_and_its_log_on_stderr(
    sample_build: tuple[Finished, ...], out: Path
) -> None:
    _, built = sample_build
    lines = built.stdout.splitlines()
    assert lines[0].startswith("out is built (")
    rows = [line.split()[:2] for line in lines]
    assert ["train", "4"] in rows
    assert ["val", "2"] in rows
    assert built.stderr.startswith(
        "camvid: 6 images in 2 shards (SegNet split (train, "
    )
    assert "Traceback" not in built.stderr
    assert (out / "manifest.json").is_file()


def test_info_tells_splits_classes_and_how_to_read_it(out: Path) -> None:
    result = segdata("info", out)
    assert (result.returncode, result.stderr) == (0, "")
    for text in (
        "camvid: SegNet split",
        "pixels by class",
        "lines to read it: segdata info",
        "void (ig",
    ):
        assert text in result.stdout


def test_info_json_is_the_manifest_to_the_byte(out: Path) -> None:
    result = segdata("info", out, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (out / "manifest.json").read_text()
    assert orjson.loads(result.stdout)["splits"]["train"]["num_records"] == 4


def test_verify_says_that_all_is_whole(out: Path) -> None:
    result = segdata("verify", out)
    assert result.returncode == 0
    assert result.stdout == f"verified {out}: 6 records in 2 shards are whole\n"


def test_verify_of_a_damaged_build_names_file_and_record_and_exits_with_1(
    out: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(out, tmp_path / "copy")
    (shard,) = copy.glob("camvid-train*")
    data = bytearray(shard.read_bytes())
    del data[len(data) // 2]
    shard.write_bytes(data)
    result = segdata("verify", copy)
    assert result.returncode == 1
    assert f"{shard.name}: record " in result.stdout
    (line,) = without_progress(result.stderr)
    assert line.startswith(f"error: {copy} is not what its manifest says: ")


def test_show_draws_the_asked_for_records(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "grid.png"
    key = "train/seq01_000030"
    result = segdata("show", out, "--key", key, "--output", target)
    assert (result.returncode, result.stderr) == (0, "")
    with Image.open(target) as picture:
        size = f"{picture.width}x{picture.height}"
    assert result.stdout == f"wrote {target}: 1 records, {size}\n"


def test_show_draws_at_most_all_records_of_a_split(out: Path, tmp_path: Path) -> None:
    result = segdata("show", out, "--split=val", "--count=50", cwd=tmp_path)
    assert result.stdout.startswith("wrote grid.jpg: 2 records, ")
    assert (tmp_path / "grid.jpg").is_file()


# --- errors are one line, and the exit code tells their kind ---


def test_unknown_key_is_refused_with_an_example(out: Path, tmp_path: Path) -> None:
    result = segdata("show", out, "--key", "nobody", cwd=tmp_path)
    line = the_error(result, 2)
    assert line.startswith("no record has the key 'nobody'. A key is the image's path")
    assert list(tmp_path.iterdir()) == []


def test_picture_of_another_kind_is_refused(out: Path, tmp_path: Path) -> None:
    result = segdata("show", out, "--output", tmp_path / "a.gif")
    assert "a.gif: expected a .jpg or .png file." in the_error(result, 2)


def test_picture_that_cannot_be_written_is_refused(out: Path, tmp_path: Path) -> None:
    result = segdata("show", out, "--output", tmp_path / "no" / "a.png")
    assert "no/a.png: No such file or directory." in the_error(result, 1)


def test_unknown_split_is_refused(out: Path) -> None:
    result = segdata("show", out, "--split=dev")
    assert "split 'dev' is not in this dataset: it has train, val" in the_error(
        result, 2
    )


def test_show_of_a_build_without_its_shard_is_one_clear_line(
    out: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(out, tmp_path / "copy")
    (shard,) = copy.glob("camvid-train*")
    shard.unlink()
    line = the_error(segdata("show", copy, cwd=tmp_path), 1)
    assert line == f"shard {shard} cannot be read: No such file or directory."


@pytest.mark.parametrize("command", ["info", "verify", "show"])
def test_folder_that_is_no_build_is_refused(command: str, tmp_path: Path) -> None:
    line = the_error(segdata(command, tmp_path, cwd=tmp_path), 1)
    assert line.startswith(f"{tmp_path} holds no finished build: manifest.json is miss")


def test_sample_into_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    line = the_error(segdata("sample", "camvid", tmp_path), 1)
    assert line == f"{tmp_path} is not an empty directory: choose another."
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_sample_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is not an empty dir" in the_error(
        segdata("sample", "camvid", tmp_path / "file"), 1
    )


def test_sample_that_cannot_be_written_is_refused() -> None:
    line = the_error(segdata("sample", "camvid", "/proc/nowhere"), 1)
    assert line.startswith("cannot write /proc/nowhere: ")


@pytest.mark.parametrize("option", ["--seed=-1", "--train=-1"])
def test_sample_of_a_negative_number_is_wrong_usage(
    option: str, tmp_path: Path
) -> None:
    result = segdata("sample", "camvid", tmp_path / "s", option)
    assert result.returncode == 2, result.stderr
    assert option.partition("=")[0] in result.stderr


def test_the_same_build_again_says_so_and_succeeds(
    out: Path, file_hashes: Callable[[Path], dict[str, str]]
) -> None:
    before = file_hashes(out)
    result = segdata("build", "camvid", out.parent / "drawn", out)
    assert result.returncode == 0, result.stderr
    line = f"{out} already holds this very build: nothing is left to do"
    assert line in result.stderr.splitlines()
    assert result.stdout.startswith(f"{out} is built (")
    assert file_hashes(out) == before


def test_another_build_over_a_finished_one_is_refused(out: Path) -> None:
    result = segdata("build", "camvid", out.parent / "drawn", out, "--seed=1")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: {out} already holds a finished build, and ")
    assert "differs: --seed 0 -> 1. Pass --update to" in last
    assert "Traceback" not in result.stderr


def test_source_of_no_layout_is_refused(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    line = the_error(segdata("build", "camvid", source, out), 1)
    assert line.startswith(f"no CamVid layout is recognised in {source}: expected ")
    assert not out.exists()


def test_bad_image_is_one_line_without_a_traceback(
    tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    source = make_segnet(tmp_path / "source")
    (source / "train" / "train_002.png").write_bytes(b"junk")
    result = segdata("build", "camvid", source, tmp_path / "out", "--shards=2")
    assert (result.returncode, result.stdout) == (1, "")
    started, error = without_progress(result.stderr)
    assert started.startswith("camvid: 8 images in 4 shards")
    assert error.startswith("error: image 'train/train_002.png' cannot be decoded: ")


def test_verbose_shows_the_traceback_before_the_line(tmp_path: Path) -> None:
    result = segdata("-v", "info", tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_file_name_that_is_not_utf8_is_one_clear_line(
    tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    source = make_segnet(tmp_path / "source")
    for split in ("train", "val"):
        (source / f"{split}.txt").unlink()
    for folder in ("train", "trainannot"):
        path = source / folder / "train_000.png"
        path.rename(path.with_name("\udce9.png"))
    result = segdata("build", "camvid", source, tmp_path / "out")
    assert "File names must be valid UTF-8." in the_error(result, 1)


def test_bug_is_one_line_that_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from segdata import cli as module

    def fail(**options: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(module.cli, "main", fail)
    with pytest.raises(SystemExit, match=r"^1$"):
        module.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: internal error: ZeroDivisionError: division by zero "
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("build", "interrupted. Run the same command to resume."),
        ("train", "interrupted. Run the same command to resume."),
        ("stats", "interrupted."),
    ],
)
def test_interrupt_ends_with_130(
    command: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from segdata import cli as module

    def interrupt(**options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.cli, "main", interrupt)
    monkeypatch.setattr("sys.argv", ["segdata", command, "x"])
    with pytest.raises(SystemExit, match=r"^130$"):
        module.main()
    assert capsys.readouterr().err == f"error: {message}\n"


def test_closed_pipe_is_no_error_message(out: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "segdata", "info", str(out)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert result.returncode == 1
    assert "error" not in result.stderr.lower()
    assert "Traceback" not in result.stderr


# --- wrong usage ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no such command: 'nothing'."),
        (["bild", "coco"], "no such command: 'bild'. Did you mean 'build'?"),
        (
            ["build", "camvit", "a", "b"],
            "unknown format 'camvit': known are camvid, ",
        ),
        (["build", "camvit", "a", "b"], "or auto. Did you mean 'camvid'?"),
        (
            ["build", "coco", "a", "b", "--stratfy"],
            "No such option '--stratfy'. Did you mean '--stratify'?",
        ),
        (["sample", "camvit", "a"], "'camvit' is not"),
        (["build", "camvid", "a"], "Missing argument 'OUT'"),
        (
            ["build", "camvid", "a", "b", "c"],
            "got unexpected arguments ['c']: expected",
        ),
        (["build", "camvid", "a", "b", "--classes=13"], "'13' is not one of"),
        (["build", "camvid", "a", "b", "--shard-size=big"], "'big' is no size: expect"),
        (["build", "camvid", "a", "b", "--shard-size=5 furlongs"], "is no size"),
        (["build", "camvid", "a", "b", "--shard-size=-5"], "is no size"),
        (["build", "camvid", "a", "b", "--shard-size=0"], "'0' is out of range"),
        (["build", "camvid", "a", "b", "--shards=0"], "--shards is 0: expected 1 to 9"),
        (["build", "camvid", "a", "b", "--workers=0"], "0 is not in the range x>=1"),
        (["build", "camvid", "a", "b", "--max-rejects=2"], "2.0 is not in the range"),
        (["build", "camvid", "a", "b", "--split=a=0.5"], "do not add up"),
        (["build", "camvid", "a", "b", "--on-error=ask"], "'ask' is not one of"),
        (
            [
                "build",
                "camvid",
                "a",
                "b",
                "--",
                "--direct_running_mode=multi_threading",
            ],
            "multi_threading is refused",
        ),
        (
            ["build", "camvid", "a", "b", "--", "--direct_num_workers=2"],
            "is set by segd",
        ),
        (["show", "a", "--count=0"], "0 is not in the range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_and_exits_with_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from segdata.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["segdata", *arguments])
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("1000000", 1_000_000),
        ("128MiB", 128 << 20),
        ("500MB", 500_000_000),
        (" 1.5 kib ", 1536),
        ("2g", 2 << 30),
        ("1B", 1),
        ("1TB", 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, num_bytes: int) -> None:
    assert ByteSize()(text) == num_bytes


def test_size_beyond_all_measure_is_refused() -> None:
    import click

    with pytest.raises(click.BadParameter, match=r"is out of range: expected 1 byte"):
        ByteSize()("9" * 400)


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (12_345_678, "11.8 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes_are_printed_as_people_read_them(num_bytes: int, text: str) -> None:
    assert format_bytes(num_bytes) == text


def test_errors_are_one_line_whatever_they_quote() -> None:
    assert str(SegdataError("a\nb\t c")) == "a b c"
