"""Fixtures for all tests.

- `shared_data`: the real datasets that lie beside the project, or a skip.
- `camvid_source`: a drawn CamVid folder in the SegNet layout: 40 train, 12 val frames.
- `camvid_build`: that folder, built once.
- `real_build`: builds a dataset of `shared_data` by its format's name, once.
- `make_segnet`: writes a tiny CamVid folder in the SegNet layout.
- `check_manifest`: raises if a manifest does not fit its JSON Schema.
- `s3`, `gs`: servers of S3 and GCS on loopback, reached through the environment;
  `store`: a test that takes it runs with each of them.
- `file_hashes`: SHA-256 of every file below a folder, but for the cache of an output.

Nothing waits for the disk: no test survives a power cut.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from segdata.building.directory import NOTES_NAME
from segdata.samples.camvid import write_camvid_sample
from segdata.storage.local_path import LocalPath

SHARED_DATA = LocalPath(__file__).resolve().parent.parent.parent / "shared" / "data"

ROOT = Path(__file__).resolve().parent.parent
CLUSTERS = Path(os.environ.get("SEGDATA_CLUSTERS", ROOT / "build" / "clusters"))


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """A sixth of the suite's time would go into waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def tmp_path(tmp_path: Path) -> LocalPath:
    """As pytest's, with the methods that code behind `locate` calls."""
    return LocalPath(tmp_path)


@pytest.fixture(scope="session")
def tmp_path_factory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As pytest's, for folders with the methods that code behind `locate` calls."""
    make, base = tmp_path_factory.mktemp, tmp_path_factory.getbasetemp
    factory: Any = tmp_path_factory
    factory.mktemp = lambda *args, **options: LocalPath(make(*args, **options))
    factory.getbasetemp = lambda: LocalPath(base())
    return factory


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with `camvid/ pets/ coco/`; its licences forbid a copy in the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real datasets are not beside the project (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def camvid_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camvid")
    write_camvid_sample(folder, seed=0, num_train=40, num_val=12)
    return folder


@pytest.fixture(scope="session")
def camvid_build(camvid_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Not at the top: most tests need no Beam.
    from segdata.building.build import build
    from segdata.formats.camvid.format import CamVid

    out = tmp_path_factory.mktemp("build") / "out"
    build(CamVid(), camvid_source, out)
    return out


@pytest.fixture(scope="session")
def real_build(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Format name -> its dataset of `shared_data`, built once: do not change it."""

    @functools.cache
    def build_once(name: str) -> Path:
        from segdata.building.build import build
        from segdata.formats import format_class

        out = tmp_path_factory.mktemp("real") / name
        dataset_format = format_class(name)()
        build(dataset_format, shared_data / name, out)
        return out

    return build_once


def _write_segnet(
    root: Path, *, num_train: int = 5, num_val: int = 3, height: int = 24
) -> Path:
    for number, (split, count) in enumerate((("train", num_train), ("val", num_val))):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        lines = []
        for index in range(count):
            rng = np.random.default_rng([number, index])
            name = f"{split}_{index:03d}.png"
            pixels = rng.integers(0, 256, (height, 32, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            labels = np.repeat(rng.integers(0, 12, (height, 4), np.uint8), 8, axis=1)
            Image.fromarray(labels).save(root / f"{split}annot" / name)
            lines.append(f"/SegNet/{split}/{name} /SegNet/{split}annot/{name}\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


@pytest.fixture(scope="session")
def make_segnet() -> Callable[..., Path]:
    return _write_segnet


@pytest.fixture(scope="session")
def file_hashes() -> Callable[[Path], dict[str, str]]:
    def hashes(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != NOTES_NAME
        }

    return hashes


@pytest.fixture(scope="session")
def _store_server() -> Iterator[Callable[[str], Any]]:
    """Name -> the one server of a kind, started when it is first asked for."""
    started: dict[str, Any] = {}

    def server_of(name: str) -> Any:
        if name not in started:
            started[name] = _start_store(name)
        return started[name]

    yield server_of
    for server in started.values():
        server.close()


def _start_store(name: str) -> Any:
    if name == "s3":
        from s3_server import S3Server

        return S3Server()
    from gcs_server import GcsServer, start_emulator, start_fake_gcs_server

    if name == "gs":
        return GcsServer(start_emulator)
    program = CLUSTERS / "fake-gcs-server"
    if not program.exists():
        pytest.skip(f"{program} is not there: run `make test-gcs`")
    return GcsServer(functools.partial(start_fake_gcs_server, program))


def _reached(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.requests.clear()
    return server


@pytest.fixture
def s3(_store_server: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same server for all tests: each uses names of its own."""
    return _reached(_store_server("s3"), monkeypatch)


_GCS = ["gs", pytest.param("fake-gcs-server", marks=pytest.mark.slow)]


@pytest.fixture(params=_GCS)
def gs(
    request: pytest.FixtureRequest,
    _store_server: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """One after the other of two emulators of GCS, likewise."""
    return _reached(_store_server(request.param), monkeypatch)


@pytest.fixture(params=["s3", *_GCS])
def store(
    request: pytest.FixtureRequest,
    _store_server: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """One after the other of the stores of objects, likewise."""
    return _reached(_store_server(request.param), monkeypatch)


@pytest.fixture(scope="session")
def check_manifest() -> Callable[[Path], None]:
    schema = orjson.loads(
        (files("segdata.shards") / "manifest.schema.json").read_bytes()
    )
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)

    def check(out: Path) -> None:
        validator.validate(orjson.loads((out / "manifest.json").read_bytes()))

    return check
