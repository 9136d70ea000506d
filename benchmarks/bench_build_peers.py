"""`bench_build.py --peers`: instance masks, built by segdata and in the ways of others.

Every way runs as a command on the real COCO images and on COPIES of them, in turn;
the difference of the two is its rate after start-up. Memory is the peak of the whole
process tree, proportional share (PSS). Before anything is timed, the masks of all are
compared. TensorFlow Datasets comes with `pip install '.[interop]'`.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from build_peers import SHARDS, WORKERS, examples_of
from measure import SHARED_DATA, median, run_watched, write_result
from PIL import Image

from segdata.source import RecordSource

AIMS = {"tfds": 5.0, "pngs": 15.0, "limit": 2 / 3}
WAYS = ("segdata", "tfds", "pngs", "limit")


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
            shutil.copy(
                original / "images" / image["file_name"], target / "images" / name
            )
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
        counts = (1, copies)
        sources = {n: make_source(root / f"source-{n}", n) for n in counts}
        outs = {way: root / way for way in WAYS}
        for way in WAYS:
            run_watched(command_of(way, sources[1], outs[way]))
        num_masks = check(outs)
        num_images = len(list((sources[1] / "images").iterdir()))
        seconds: dict[str, dict[int, list[float]]] = {
            way: {n: [] for n in counts} for way in WAYS
        }
        memory = dict.fromkeys(WAYS, 0.0)
        sizes: dict[str, int] = {}
        for _ in range(repeats):
            for n in counts:
                for way in WAYS:
                    shutil.rmtree(outs[way], ignore_errors=True)
                    command = command_of(way, sources[n], outs[way])
                    wall, peak = run_watched(command)
                    seconds[way][n].append(wall)
                    memory[way] = max(memory[way], peak)
                    sizes[way] = size_of(outs[way])
    extra = num_images * (copies - 1)
    walls = {way: {n: median(v) for n, v in s.items()} for way, s in seconds.items()}
    for way, by_copies in walls.items():
        if by_copies[copies] <= by_copies[1]:
            sys.exit(f"{way} took no longer for {copies} copies: the machine is busy")
    rates = {way: extra / (walls[way][copies] - walls[way][1]) for way in WAYS}
    _report(rates, walls, memory, sizes, num_images, num_masks, copies)


def _report(
    rates: dict[str, float],
    walls: dict[str, dict[int, float]],
    memory: dict[str, float],
    sizes: dict[str, int],
    num_images: int,
    num_masks: int,
    copies: int,
) -> None:
    print(
        f"real COCO, {num_images} images and {num_masks} masks, {copies} copies, "
        f"{WORKERS} processes; all masks equal"
    )
    for way in WAYS:
        print(
            f"  {way:8} {rates[way]:7.1f} images/s after start-up, "
            f"{walls[way][copies]:6.1f} s in all, peak {memory[way]:6.0f} MiB, "
            f"{sizes[way] / 1e6:7.1f} MB written"
        )
    for way, aim in AIMS.items():
        ratio = rates["segdata"] / rates[way]
        in_all = walls[way][copies] / walls["segdata"][copies]
        print(
            f"  segdata / {way}: {ratio:.2f} after start-up, {in_all:.2f} in all   "
            f"aim: at least {aim:.2f}"
        )
    write_result(
        "build_peers",
        {
            "images": num_images,
            "masks": num_masks,
            "copies": copies,
            "images_per_second": rates,
            "wall_seconds": walls,
            "peak_memory_mib": memory,
            "bytes_written": sizes,
        },
    )
