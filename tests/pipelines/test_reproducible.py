"""An output holds nothing of the machine that made it: the same bytes anywhere.

Each build runs by the command, in a process of its own, on a copy of one source in a
folder of its own, with other workers, hash seeds, time zones, locales, homes and names,
and another zlib.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from PIL import Image

from segdata.building.sources import without_folder
from segdata.samples.coco import write_coco_sample

Hashes = Callable[[Path], dict[str, str]]
HERE = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8", "USER": "one"}
# Run by Python when it starts.
_OTHER_ZLIB = """
import sys
from zlib_ng import zlib_ng
sys.modules["zlib"] = zlib_ng
"""
THERE = {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "POSIX", "USER": "two"}


@pytest.fixture(scope="module")
def odd_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO folder of which something is rejected at every stage."""
    folder = tmp_path_factory.mktemp("odd") / "source"
    write_coco_sample(folder, seed=0, num_train=8, num_val=2)
    [path] = folder.glob("annotations/instances_train*.json")
    data = orjson.loads(path.read_bytes())
    images = {image["id"]: image["file_name"] for image in data["images"]}
    first, second, third = list(images)[:3]
    [missing] = folder.rglob(images[first])
    missing.unlink()
    [truncated] = folder.rglob(images[second])
    truncated.write_bytes(truncated.read_bytes()[:200])
    [palette] = folder.rglob(images[third])
    Image.open(palette).quantize(16).save(palette, "GIF")  # encoded anew as PNG
    stray = dict(data["annotations"][0], id=10**6, image_id=10**7)
    wrong = dict(data["annotations"][-1], id=10**6 + 1, segmentation="nonsense")
    data["annotations"] += [stray, wrong]
    path.write_bytes(orjson.dumps(data))
    return folder


def build_elsewhere(
    source: Path, folder: Path, environment: dict[str, str], workers: int
) -> Path:
    folder.mkdir(parents=True)
    copy = shutil.copytree(source, folder / "data")
    command = [sys.executable, "-P", "-m", "segdata", "build", "coco", "data", "out"]
    if workers > 1:
        command[-2] = str(copy)
    command += ["--on-error", "skip", "--max-rejects", "0.9", "--workers", str(workers)]
    done = subprocess.run(
        [*command, "--masks", "rle,png"],
        cwd=folder,
        env=os.environ | environment | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_bytes_do_not_depend_on_folder_user_locale_time_zone_hash_seed_or_zlib(
    odd_source: Path, tmp_path: Path, file_hashes: Hashes
) -> None:
    one = build_elsewhere(odd_source, tmp_path / "one", HERE, workers=1)
    (tmp_path / "sitecustomize.py").write_text(_OTHER_ZLIB)
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    there = THERE | {"PYTHONPATH": paths}
    two = build_elsewhere(odd_source, tmp_path / "a b" / "two", there, workers=2)
    rejects = (one / "rejects.jsonl").read_text()
    assert {"scan", "encode", "object"} <= {
        orjson.loads(line)["stage"] for line in rejects.splitlines()
    }
    assert file_hashes(one) == file_hashes(two)
    for path in (path for path in one.rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("source", "message", "expected"),
    [
        ("/home/me/set", "expected a file at /home/me/set/a/b.jpg.", "a/b.jpg."),
        ("/home/me/set", "nothing in /home/me/set: look", "nothing in SOURCE: look"),
        ("/home/me/set", "/home/me/settings/a and /home/me/set-2", "/home/me/settings"),
        (
            "data",
            "data/a.jpg, metadata/a.jpg, x/data/a.jpg",
            "a.jpg, metadata/a.jpg, x",
        ),
        ("s3://bucket/set", "at s3://bucket/set/a.jpg", "at a.jpg"),
        (".", "a.jpg is bad. So it is.", "a.jpg is bad. So it is."),
    ],
)
def test_messages_name_paths_below_the_source(
    source: str, message: str, expected: str
) -> None:
    assert expected in without_folder(message, source)
