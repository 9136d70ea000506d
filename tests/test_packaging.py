"""Every way of installing segdata, and none, runs a build beside a user's packages.

Nothing is downloaded: the environments see the libraries of the running one, except
segdata itself, so that whatever segdata a process finds is the one under test.
"""

from __future__ import annotations

import email
import email.message
import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import segdata
from segdata.masks import compiled
from segdata.samples.camvid import write_camvid_sample

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("docs", "examples", "tests", "benchmarks", "clusters", "Makefile")
# The wheel made from the sdist is the wheel made here, to the byte: see below.
INSTALLED = ("wheel", "editable")

ORIGINS = """
import importlib, json
names = ("segdata", "segdata.pipelines.shards", "segdata.trainers")
modules = [importlib.import_module(name) for name in names]
print(json.dumps([modules[0].__version__, *(module.__file__ for module in modules)]))
"""


@dataclass(frozen=True)
class Place:
    """An environment that runs segdata."""

    python: Path
    home: Path
    """Folder that all of segdata must come from."""
    packages: Path
    """Its site-packages."""
    python_path: str = ""

    def run(self, *command: object, cwd: Path) -> str:
        return run(self.python, *command, cwd=cwd, python_path=self.python_path)


def run(*command: object, cwd: Path, python_path: str = "") -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if python_path:
        environment["PYTHONPATH"] = python_path
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(*arguments: object, cwd: Path, python: Path = Path(sys.executable)) -> None:
    # -P: the sources are not the installed package.
    run(sys.executable, "-P", "-m", "pip", "--python", python, *arguments, cwd=cwd)


def copy_sources(target: Path) -> Path:
    """Copies what git tracks or would track: no build/, no egg-info."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())
    return target


def build_wheel(source: Path, target: Path) -> Path:
    options = ("--no-build-isolation", "--no-deps", "--wheel-dir", target)
    pip("wheel", *options, source, cwd=target.parent)
    [wheel] = target.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def top_level(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    source = copy_sources(tmp_path_factory.mktemp("wheel-source"))
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    source = copy_sources(tmp_path_factory.mktemp("sdist-source"))
    target = tmp_path_factory.mktemp("sdist")
    # As Beam makes the archive that it stages for `--setup_file`.
    run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", target, cwd=source)
    [archive] = target.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def sdist_wheel(sdist, tmp_path_factory):
    return build_wheel(sdist, tmp_path_factory.mktemp("sdist-wheel"))


@pytest.fixture(scope="session")
def metadata(wheel):
    [name] = [n for n in names_in(wheel) if n.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """The running environment's site-packages without segdata, as links."""
    folder = tmp_path_factory.mktemp("libraries")
    for key in ("purelib", "platlib"):
        for path in Path(sysconfig.get_path(key)).iterdir():
            link = folder / path.name
            mine = "segdata" in path.name or path.suffix == ".pth"
            if not mine and not link.is_symlink():
                link.symlink_to(path)
    return folder


@pytest.fixture(scope="session")
def make_environment(libraries, tmp_path_factory):
    def make(name: str) -> tuple[Path, Path]:
        home = tmp_path_factory.mktemp(name)
        venv.create(home, with_pip=False, symlinks=True)
        [packages] = home.glob("lib/python*/site-packages")
        (packages / "libraries.pth").write_text(f"{libraries}\n")
        return home / "bin" / "python", packages

    return make


@pytest.fixture(scope="session")
def place_of(request, make_environment, tmp_path_factory):
    """Makes the environment of each way of installing, once."""
    places: dict[str, Place] = {}

    def place_of(kind: str) -> Place:
        if kind not in places:
            places[kind] = make(kind)
        return places[kind]

    def make(kind: str) -> Place:
        python, packages = make_environment(f"environment-{kind}")
        if kind == "checkout":
            copy = request.getfixturevalue("checkout")
            return Place(python, copy, packages, python_path=str(copy))
        install = ("install", "--no-deps", "--no-build-isolation", "--no-compile")
        if kind == "editable":
            copy = copy_sources(tmp_path_factory.mktemp("editable-source"))
            pip(*install, "-e", copy, cwd=packages, python=python)
            return Place(python, copy, packages)
        archive = request.getfixturevalue("wheel")
        pip(*install, archive, cwd=packages, python=python)
        return Place(python, packages, packages)

    return place_of


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_camvid_sample(folder, seed=3, num_train=3, num_val=2)
    return folder


@pytest.fixture(scope="session")
def expected_shards(sample, tmp_path_factory):
    """What a build in this very process writes."""
    from segdata.building.build import build
    from segdata.formats.camvid.format import CamVid

    out = tmp_path_factory.mktemp("expected") / "out"
    build(CamVid(), sample, out)
    return shards_of(out)


def shards_of(out: Path) -> dict[str, str]:
    assert (out / "manifest.json").is_file()
    shards = {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.tfrecord-*"))
    }
    assert len(shards) >= 2  # else one worker would do
    return shards


def users_folder(folder: Path, *names: str) -> Path:
    """A folder with packages of the user's own that nobody may import."""
    for name in names:
        (folder / name).mkdir(parents=True)
        code = 'raise RuntimeError("user\'s package")\n'
        (folder / name / "__init__.py").write_text(code)
    return folder


# What another wheel or a link would build with is where they come from, below.
@pytest.mark.parametrize("kind", ["wheel", "checkout"])
def test_users_own_packages_do_not_shadow_ours_in_a_build(
    kind, place_of, sample, expected_shards, tmp_path
):
    place = place_of(kind)
    cwd = users_folder(tmp_path / "user", "pipelines", "trainers")
    # `python -m` looks into the current folder first; a script must not even there.
    command = ["-m", "segdata"]
    if kind in INSTALLED:
        users_folder(cwd, "segdata")
        command = [place.python.with_name("segdata")]
    out = tmp_path / "out"
    place.run(*command, "build", "camvid", sample, out, "--workers", 2, cwd=cwd)
    assert shards_of(out) == expected_shards


def test_checkout_that_is_not_installed_builds_from_inside_it(
    place_of, sample, expected_shards, tmp_path
):
    place = place_of("checkout")
    build = ("-m", "segdata", "build", "camvid", sample, tmp_path / "out")
    # No python_path: the current folder is all that says where segdata is.
    run(place.python, *build, "--workers", 2, cwd=place.home)
    assert shards_of(tmp_path / "out") == expected_shards


@pytest.mark.parametrize("kind", [*INSTALLED, "checkout"])
def test_pipelines_and_trainers_come_from_beside_segdata(kind, place_of, tmp_path):
    place = place_of(kind)
    cwd = users_folder(tmp_path / "user", "pipelines", "trainers", "segdata")
    version, *files = json.loads(place.run("-P", "-c", ORIGINS, cwd=cwd))
    assert version == segdata.__version__
    strangers = [file for file in files if not Path(file).is_relative_to(place.home)]
    assert not strangers


@pytest.mark.parametrize("kind", INSTALLED)
def test_site_packages_gain_no_general_names(kind, place_of):
    place = place_of(kind)
    stem = f"segdata-{segdata.__version__}"
    gained = top_level(place.packages) - {"libraries.pth"}
    wanted = {"segdata", f"{stem}.dist-info"}
    if kind == "editable":
        finder = "__editable___" + re.sub(r"\W", "_", stem) + "_finder.py"
        wanted = {f"__editable__.{stem}.pth", finder, f"{stem}.dist-info"}
    assert gained == wanted


def test_wheel_holds_every_source_file_under_segdata_and_nothing_else(wheel, checkout):
    wanted = set()
    for folder, prefix in (
        ("segdata", ""),
        ("pipelines", "segdata/"),
        ("trainers", "segdata/"),
    ):
        paths = (checkout / folder).rglob("*.py")
        wanted |= {prefix + path.relative_to(checkout).as_posix() for path in paths}
    info = f"segdata-{segdata.__version__}.dist-info/"
    found = {name for name in names_in(wheel) if not name.startswith(info)}
    if compiled.runs is not None:  # so there is a C compiler
        wanted.add("segdata/masks/_runs.abi3.so")
    data = {"py.typed", "shards/manifest.schema.json"}
    presets = (checkout / "trainers/presets").glob("*.toml")
    data |= {f"trainers/presets/{path.name}" for path in presets}
    data |= {f"report/page.{kind}" for kind in ("css", "html.j2", "js")}
    assert found == wanted | {f"segdata/{name}" for name in data}
    assert "segdata/pipelines/shards.py" in found


def test_wheel_from_the_sdist_is_the_wheel_from_the_checkout(wheel, sdist_wheel):
    with zipfile.ZipFile(wheel) as direct, zipfile.ZipFile(sdist_wheel) as by_sdist:
        assert set(direct.namelist()) == set(by_sdist.namelist())
        different = [
            name
            for name in direct.namelist()
            if not name.endswith(".dist-info/RECORD")
            and direct.read(name) != by_sdist.read(name)
        ]
    assert not different


def test_sdist_holds_what_its_setup_reads(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "setup.py",
        "pyproject.toml",
        "README.md",
        "segdata/version.py",
        "segdata/masks/_runs.c",
        "segdata/masks/_work.h",
        "segdata/py.typed",
        "pipelines/__init__.py",
        "trainers/__init__.py",
    } <= names


def test_sdist_holds_pages_examples_and_tests_and_nothing_compiled(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = run("git", "ls-files", *SHIPPED, cwd=ROOT).split()
    assert len(tracked) > 200
    assert not [name for name in tracked if name not in names]
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


@pytest.mark.parametrize("home", ["", "https://example.org/segdata"])
def test_readme_on_an_index_has_no_link_that_leads_nowhere(home, monkeypatch):
    monkeypatch.setattr("setuptools.setup", lambda **given: None)
    module = runpy.run_path(str(ROOT / "setup.py"))
    targets = re.findall(r"\]\(([^)]+)\)", module["readme"](home))
    assert [t for t in targets if not t.startswith("https://")] == []
    assert any("docs/reading.md" in t for t in targets) == bool(home)


def test_wheel_is_typed(wheel):
    assert "segdata/py.typed" in names_in(wheel)


def test_wheel_has_the_version_of_the_package(wheel, metadata):
    assert metadata["Version"] == segdata.__version__
    assert wheel.name.startswith(f"segdata-{segdata.__version__}-cp311-abi3-")


def test_console_script_starts_the_command(place_of, tmp_path):
    place = place_of("wheel")
    printed = run(place.python.with_name("segdata"), "--version", cwd=tmp_path)
    assert printed == f"segdata, version {segdata.__version__}\n"


def requirements(metadata: email.message.Message, extra: str | None) -> set[str]:
    """Names of the distributions that an extra, or no extra, asks for."""
    names = set()
    for line in metadata.get_all("Requires-Dist", []):
        requirement, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"](.+?)['\"]", marker)
        if (named[1] if named else None) == extra:
            name = re.match(r"[\w.-]+", requirement)
            assert name is not None
            names.add(name[0].lower())
    return names


def test_core_requires_the_building_half_and_no_tensorflow(metadata):
    core = requirements(metadata, None)
    assert {"apache-beam", "click", "numpy", "pillow", "protobuf"} <= core
    assert not [name for name in core if re.search("tensorflow|keras|jax|torch", name)]


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("tensorflow", {"tensorflow"}),
        ("cpu", {"tensorflow-cpu"}),
        ("tpu", {"tensorflow-tpu"}),
        ("train", {"tensorflow", "keras", "tensorboard"}),
        ("jax", {"jax", "keras"}),
        ("grain", {"grain"}),
        ("torch", {"torch"}),
        ("onnx", {"onnxruntime", "tf2onnx"}),
    ],
)
def test_extra_brings_exactly_its_distributions(extra, wanted, metadata):
    assert extra in metadata.get_all("Provides-Extra")
    assert requirements(metadata, extra) == wanted


def test_dev_extra_brings_what_tests_and_checks_need(metadata):
    assert "dev" in metadata.get_all("Provides-Extra")
    wanted = {"tensorflow", "pytest", "pytest-timeout", "ruff", "mypy", "wheel"}
    # `setuptools` and `wheel`: this file builds without isolation.
    assert wanted | {"setuptools"} <= requirements(metadata, "dev")
