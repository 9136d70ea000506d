"""Time and memory of a build as it grows: records, and shards.

Tiny images, so that what is measured is the engine and not the pixels: a COCO file of
10,000 and of 100,000 images with one polygon each, built by the command with two
workers into 16 and into 1,000 shards. Time and memory per record should not grow;
memory is the peak of the whole process tree (PSS).

    python benchmarks/bench_scale.py [--records 10000 100000] [--shards 16 1000]
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Run, run_watched, write_result
from PIL import Image

from segdata.shards.manifest import read_manifest

WORKERS = 2
_SIDE = 32
_PER_FOLDER = 1000


def make_source(target: Path, count: int) -> Path:
    """A COCO folder of so many images; their bytes differ in a few pixels."""
    (target / "annotations").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        name = f"{number // _PER_FOLDER:04d}/{number:07d}.png"
        path = target / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((_SIDE, _SIDE, 3), np.uint8)
        pixels[0, :4, 0] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
        image = {"id": number, "file_name": name, "height": _SIDE, "width": _SIDE}
        images.append(image)
        x = 2 + number % 20
        annotations.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "bbox": [x, 3, 8, 9],
                "area": 72,
                "iscrowd": 0,
                "segmentation": [[x, 3, x + 8, 3, x + 8, 12, x, 12]],
            }
        )
    table = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "box"}],
    }
    (target / "annotations" / "instances.json").write_text(json.dumps(table))
    return target


def build(source: Path, out: Path, shards: int) -> Run:
    """One build."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["-m", "segdata", "build", "coco", str(source), str(out)]
    options = [f"--workers={WORKERS}", f"--shards={shards}"]
    return run_watched([sys.executable, "-P", *command, *options])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    arguments.add_argument("--shards", type=int, nargs="+", default=[16, 1000])
    options = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in options.records:
            source = make_source(Path(folder, f"source-{count}"), count)
            for shards in options.shards:
                out = Path(folder, "out")
                run = build(source, out, shards)
                assert read_manifest(out).splits["train"].num_records == count
                rows.append(
                    {
                        "records": count,
                        "shards": shards,
                        "seconds": run.wall,
                        "cpu_seconds": run.cpu,
                        "peak_memory_mib": run.memory,
                    }
                )
                print(
                    f"{count:8} records in {shards:5} shards: {run.wall:6.1f} s; "
                    f"{run.cpu:6.1f} s of CPU, {run.cpu / count * 1e6:5.0f} us and "
                    f"{run.memory * 1024 / count:6.2f} KiB of peak memory a record "
                    f"({run.memory:.0f} MiB)",
                    flush=True,
                )
            shutil.rmtree(source)
    write_result("scale", {"workers": WORKERS, "rows": rows})


if __name__ == "__main__":
    main()
