"""The lines that `segdata info` tells to paste, run with the packages they name."""

from __future__ import annotations

from typing import Any

import pytest

from segdata.commands.reading_lines import reading_snippets
from segdata.formats.coco.format import Coco
from segdata.samples.coco import write_coco_sample
from segdata.shards.manifest import read_manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from segdata.building.build import build

    folder = tmp_path_factory.mktemp("coco")
    source, out = folder / "source", folder / "out"
    write_coco_sample(source, seed=0, num_train=9, num_val=1)
    build(Coco(), source, out)
    painted = folder / "painted"
    build(Coco(semantic=True), source, painted)
    keras = reading_snippets(read_manifest(painted), painted)
    return {s.code: "\n".join(s.lines) for s in keras if s.code == "keras"} | {
        snippet.title.partition(" (")[0]: "\n".join(snippet.lines)
        for snippet in reading_snippets(read_manifest(out), out)
    }


@pytest.mark.parametrize(
    ("reader", "package", "name"),
    [
        ("TensorFlow Datasets", "tensorflow_datasets", "dataset"),
        ("PyTorch", "torch", "loader"),
        ("Grain", "grain", "dataset"),
    ],
)
def test_lines_read_every_record(
    lines: dict[str, str], reader: str, package: str, name: str
) -> None:
    pytest.importorskip(package, reason="extra `interop`")
    names: dict[str, Any] = {}
    exec(lines[reader], names)
    found = list(names[name])
    if reader == "PyTorch":
        found = [example for batch in found for example in batch]
    assert len(found) == 9


def test_keras_lines_fit_a_model(lines: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    exec(lines["keras"], names)
    assert names["model"].history.history["loss"][0] > 0


def test_jax_lines_read(lines: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    exec(lines["JAX, objects"], names)
    assert names["image"].shape == (8, 512, 512, 3)
