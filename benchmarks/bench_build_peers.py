"""`bench_build.py --peers`: instance masks, built by segdata and in the ways of others.

Every way runs as a command on the real COCO images and on COPIES of them, the fast
ones on eight times as many too, in turn. From the smallest and the largest comes a
way's rate after start-up, by wall and by CPU time: nearly nothing but the second can be
trusted on a busy machine. Memory is the peak of the whole process tree, proportional
share (PSS). Before anything is timed, the masks of all are compared. TensorFlow
Datasets comes with `pip install '.[interop]'`.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from build_peers import SHARDS, WORKERS, examples_of
from measure import SHARED_DATA, Run, link, median, run_watched, write_result
from PIL import Image

from segdata.reading.record_source import RecordSource

AIMS = {"tfds": 5.0, "pngs": 15.0, "limit": 2 / 3}
SIZES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "segdata": lambda copies: (1, copies, _MORE * copies),
    "tfds": lambda copies: (1, copies),
    "pngs": lambda copies: (1, copies),
    "limit": lambda copies: (1, copies, _MORE * copies),
}
"""Copies that each way is run on: what takes a second tells no rate."""
_MORE = 8

Runs = dict[tuple[str, int], list[Run]]
"""Way and copies -> how it ran."""


def make_source(target: Path, copies: int) -> Path:
    """The real COCO, every image and annotation `copies` times."""
    original = SHARED_DATA / "coco"
    table = json.loads((original / "annotations" / "instances.json").read_bytes())
    (target / "images").mkdir(parents=True)
    (target / "annotations").mkdir()
    images, annotations = [], []
    step = max(image["id"] for image in table["images"]) + 1
    for number in range(copies):
        for image in table["images"]:
            name = f"{number:03d}-{image['file_name']}"
            link(original / "images" / image["file_name"], target / "images" / name)
            images.append(
                {**image, "id": image["id"] + number * step, "file_name": name}
            )
        for annotation in table["annotations"]:
            image_id = annotation["image_id"] + number * step
            entry = {**annotation, "id": len(annotations) + 1, "image_id": image_id}
            annotations.append(entry)
    text = json.dumps({**table, "images": images, "annotations": annotations})
    (target / "annotations" / "instances.json").write_text(text)
    return target


def command_of(way: str, source: Path, out: Path) -> list[str]:
    """How a way is run."""
    if way == "segdata":
        options = [f"--workers={WORKERS}", f"--shards={SHARDS}"]
        build = ["-m", "segdata", "build", "coco", str(source), str(out)]
        return [sys.executable, "-P", *build, *options]
    script = Path(__file__).parent / "build_peers.py"
    return [sys.executable, str(script), way, str(source), str(out)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check(outs: dict[str, Path]) -> int:
    """Every mask of every way is the same; returns how many there are."""
    pngs = {way: dict(examples_of(way, outs[way])) for way in ("tfds", "pngs")}
    count = 0
    for record in RecordSource(outs["segdata"], "train"):
        number = int(record.source_id)
        masks = [record.mask(item) for item in record.objects]
        for way, by_image in pngs.items():
            others = by_image[number]
            assert len(others) == len(masks), (way, number)
            for mask, other in zip(masks, others, strict=True):
                pixels = np.asarray(Image.open(io.BytesIO(other)))
                np.testing.assert_array_equal(mask, pixels)
        count += len(masks)
    return count


def main(repeats: int, copies: int) -> None:
    """Measures and prints."""
    if not (SHARED_DATA / "coco").is_dir():
        sys.exit("the real COCO images are needed: ../shared/data/coco")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        counts = sorted({n for sizes in SIZES.values() for n in sizes(copies)})
        sources = {n: make_source(root / f"source-{n}", n) for n in counts}
        outs = {way: root / way for way in SIZES}
        for way in SIZES:
            run_watched(command_of(way, sources[1], outs[way]), memory=False)
        num_masks = check(outs)
        num_images = len(list((sources[1] / "images").iterdir()))
        runs: Runs = {
            (way, n): [] for way, sizes in SIZES.items() for n in sizes(copies)
        }
        written = {}
        for _ in range(repeats):
            for (way, n), found in runs.items():
                shutil.rmtree(outs[way], ignore_errors=True)
                found.append(run_watched(command_of(way, sources[n], outs[way])))
                written[way, n] = size_of(outs[way])
    print(
        f"real COCO, {num_images} images and {num_masks} masks, up to {counts[-1]} "
        f"copies, {WORKERS} processes; all masks equal"
    )
    _report(runs, written, num_images, copies)


def _rates(runs: Runs, kind: str, num_images: int) -> dict[str, float]:
    """Images per second of a kind, from the smallest and the largest size."""
    rates = {}
    for way in SIZES:
        sizes = sorted(n for name, n in runs if name == way)
        seconds = [median([getattr(run, kind) for run in runs[way, n]]) for n in sizes]
        if seconds[-1] <= seconds[0]:
            sys.exit(f"{way} took no longer for more copies: the machine is busy")
        rates[way] = num_images * (sizes[-1] - sizes[0]) / (seconds[-1] - seconds[0])
    return rates


def _report(
    runs: Runs, written: dict[tuple[str, int], int], num_images: int, copies: int
) -> None:
    rates = {kind: _rates(runs, kind, num_images) for kind in ("wall", "cpu")}
    walls = {key: median([run.wall for run in found]) for key, found in runs.items()}
    memory = {key: max(run.memory for run in found) for key, found in runs.items()}
    for (way, n), wall in walls.items():
        print(
            f"  {way:8} {num_images * n:6} images: {wall:6.1f} s in all, peak "
            f"{memory[way, n]:5.0f} MiB, {written[way, n] / 1e6:7.1f} MB written"
        )
    for way in SIZES:
        print(
            f"  {way:8} after start-up {rates['wall'][way]:7.1f} images/s, "
            f"{rates['cpu'][way]:7.1f} images per second of CPU"
        )
    ratios = {}
    for way, aim in AIMS.items():
        ratios[way] = {
            "after_start_up": rates["wall"]["segdata"] / rates["wall"][way],
            "cpu": rates["cpu"]["segdata"] / rates["cpu"][way],
            "in_all": walls[way, copies] / walls["segdata", copies],
        }
        print(
            f"  segdata / {way}: {ratios[way]['after_start_up']:.2f} after start-up "
            f"(by CPU {ratios[way]['cpu']:.2f}), {ratios[way]['in_all']:.2f} in all "
            f"for {num_images * copies} images   aim: at least {aim:.2f}"
        )
    write_result(
        "build_peers",
        {
            "images": num_images,
            "runs": [
                {"way": way, "copies": n, "seconds": wall, "peak_mib": memory[way, n]}
                for (way, n), wall in walls.items()
            ],
            "images_per_second": rates,
            "ratios": ratios,
        },
    )
