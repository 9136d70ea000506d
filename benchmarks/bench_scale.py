"""Time and memory as a dataset grows: of the driver alone, and of whole builds.

The driver scans, plans and finishes records whose annotations lie in files of their own
(`paths`) or hold eight polygons (`objects`), with no image; see `scale_driver.py`. Its
memory should be flat, whatever the number of records. Then a COCO file of tiny images
with one polygon each is built by the command with two workers into 16 and into 1,000
shards: what is measured is the engine and not the pixels. Memory is the peak of the
whole process tree (PSS).

    python benchmarks/bench_scale.py [--driver 100000 1000000] [--records 10000 100000]
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

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


def drive(kind: str, count: int) -> dict[str, Any]:
    """The driver's part of one build."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).with_name("scale_driver.py")
        command = [sys.executable, str(script), kind, str(count), folder]
        text = subprocess.run(command, check=True, capture_output=True).stdout
    found: dict[str, Any] = {"kind": kind, "records": count, **json.loads(text)}
    micros = found["plan_cpu_seconds"] / count * 1e6
    print(
        f"{count:9} {kind:7}: scan and plan {found['plan_seconds']:6.1f} s "
        f"({micros:.0f} us of CPU a record), begin {found['begin_seconds']:5.1f} s, "
        f"finish {found['finish_seconds']:6.1f} s, "
        f"peak {found['peak_memory_mib']:.0f} MiB; "
        f"opening {found['open_1_seconds'] * 1e3:.1f} ms, "
        f"{found['open_1_mib']:.0f} MiB; "
        f"by 8 processes {found['open_8_mib'] / found['open_1_mib']:.1f} times that",
        flush=True,
    )
    return found


def print_slopes(rows: list[dict[str, Any]]) -> None:
    """Memory that a record costs, between the sizes of a kind."""
    for kind in ("paths", "objects"):
        of_kind = [row for row in rows if row["kind"] == kind]
        for small, large in itertools.pairwise(of_kind):
            more = large["peak_memory_mib"] - small["peak_memory_mib"]
            count = large["records"] - small["records"]
            print(f"{kind}: {more * 2**20 / count:.1f} bytes of memory a record more")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--driver", type=int, nargs="*", default=[100_000, 1_000_000]
    )
    arguments.add_argument("--objects", type=int, nargs="*", default=[100_000])
    arguments.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000])
    arguments.add_argument("--shards", type=int, nargs="+", default=[16, 1000])
    options = arguments.parse_args()
    driven = [drive("paths", count) for count in options.driver]
    driven += [drive("objects", count) for count in options.objects]
    print_slopes(driven)
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
    write_result("scale", {"workers": WORKERS, "rows": rows, "driver": driven})


if __name__ == "__main__":
    main()
