"""Reading an `instances_train2017.json`: seconds and peak memory of each way to do it.

The JSON is drawn, of the real one's size: 445 MB, 118,287 images, 860,001 annotations.
Each way runs in a process of its own and must find all of them. Parsers only make
objects (or rows); the last line is what `segdata build coco` does before its first
record: find the files, read the JSON, check that every image is there, and plan every
shard. `--source` keeps the drawn dataset for the next time; a parser that is not
installed (ijson) is left out.

    python benchmarks/bench_coco_json.py [--repeats 3] [--scale 1.0] [--source DIR]
        [--only segdata]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from big_coco import JSON_NAME, NUM_ANNOTATIONS, NUM_IMAGES, write_big_coco
from measure import median, spread, write_result

AIM_MIB, AIM_SECONDS = 2048, 120
Counts = tuple[int, int]  # images and annotations found


def with_json(path: Path) -> Counts:
    data = json.loads(path.read_bytes())
    return len(data["images"]), len(data["annotations"])


def with_orjson(path: Path) -> Counts:
    import orjson

    data = orjson.loads(path.read_bytes())
    return len(data["images"]), len(data["annotations"])


def with_msgspec(path: Path) -> Counts:
    import msgspec

    data = msgspec.json.decode(path.read_bytes())
    return len(data["images"]), len(data["annotations"])


def with_typed_rows(path: Path) -> Counts:
    """Likewise with a type for rows: segmentations stay bytes."""
    import msgspec

    names = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    fields = [
        *((name, Any, None) for name in names),
        ("segmentation", msgspec.Raw, None),
    ]
    row = msgspec.defstruct("Row", fields, gc=False)
    tables = [("images", list[Any]), ("annotations", list[row])]
    data = msgspec.json.decode(path.read_bytes(), type=msgspec.defstruct("F", tables))
    return len(data.images), len(data.annotations)


def with_ijson(path: Path) -> Counts:
    import ijson

    counts = []
    for table in ("images", "annotations"):
        with open(path, "rb") as file:
            rows = ijson.items(file, f"{table}.item", use_float=True)
            counts.append(sum(1 for _ in rows))
    return counts[0], counts[1]


def with_rows(path: Path) -> Counts:
    """What segdata reads: rows left as bytes, images and ids checked."""
    from segdata.formats.coco.json import read_coco
    from segdata.storage.paths import locate

    file = read_coco(locate(path))
    return len(file.images), sum(map(len, file.annotations.rows.values()))


def with_plan(path: Path) -> Counts:
    """The whole start of a build, and every plan read once, as writing it does."""
    from segdata.building.options import BuildOptions
    from segdata.building.plan import make_plan
    from segdata.formats.coco.format import Coco
    from segdata.storage.paths import locate

    source = locate(path.parent.parent)
    plan = make_plan(Coco().scan(source), source, "coco", BuildOptions())
    # Each object has one category in its line, and nothing else has.
    found = sum(text.count(b'"category_id":') for text in plan.lines.values())
    return plan.num_records, found


WAYS: dict[str, Callable[[Path], Counts]] = {
    "json": with_json,
    "orjson": with_orjson,
    "msgspec": with_msgspec,
    "msgspec, typed rows": with_typed_rows,
    "ijson": with_ijson,
    "segdata: rows": with_rows,
    "segdata: scan and plan": with_plan,
}

_CHILD = """
import json, resource, sys, time
from pathlib import Path
import bench_coco_json
start = time.perf_counter()
counts = bench_coco_json.WAYS[sys.argv[1]](Path(sys.argv[2]))
seconds = time.perf_counter() - start
kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([counts, seconds, time.process_time(), kib / 1024]))
"""


def run(way: str, path: Path) -> tuple[list[int], float, float, float]:
    """Counts, wall seconds, CPU seconds with those of imports, and MiB."""
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, way, str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    counts, seconds, cpu_seconds, mib = json.loads(result.stdout)
    return counts, seconds, cpu_seconds, mib


def is_installed(way: str) -> bool:
    package = way.partition(",")[0]
    if package.startswith("segdata"):
        return True
    command = [sys.executable, "-c", f"import {package}"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--scale", type=float, default=1.0)
    arguments.add_argument("--source", type=Path)
    arguments.add_argument("--only", default="", help="Ways whose names begin so.")
    options = arguments.parse_args()
    expected = [int(n * options.scale) for n in (NUM_IMAGES, NUM_ANNOTATIONS)]
    with tempfile.TemporaryDirectory() as folder:
        source = (options.source or Path(folder)).resolve()
        path = source / JSON_NAME
        if not path.exists():
            write_big_coco(source, *expected)
        size = path.stat().st_size / 1e6
        named = [way for way in WAYS if way.startswith(options.only)]
        ways = [way for way in named if is_installed(way)]
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        cpu_seconds: dict[str, list[float]] = {way: [] for way in ways}
        memory = dict.fromkeys(ways, 0.0)
        for _ in range(options.repeats):
            for way in ways:
                counts, taken, cpu_taken, mib = run(way, path)
                assert counts == expected, f"{way} found {counts}"
                seconds[way].append(taken)
                cpu_seconds[way].append(cpu_taken)
                memory[way] = max(memory[way], mib)
    print(f"{size:.0f} MB, {expected[0]} images, {expected[1]} annotations")
    for way in ways:
        print(
            f"  {way:24} {median(seconds[way]):6.1f} s   of CPU "
            f"{median(cpu_seconds[way]):5.1f} s   peak {memory[way]:5.0f} MiB   spread "
            f"{spread(seconds[way])}"
        )
    print(f"  aim of scan and plan: at most {AIM_SECONDS} s and {AIM_MIB} MiB")
    write_result(
        "coco_json",
        {
            "megabytes": size,
            "images": expected[0],
            "annotations": expected[1],
            "seconds": {way: median(values) for way, values in seconds.items()},
            "cpu_seconds": {way: median(v) for way, v in cpu_seconds.items()},
            "peak_memory_mib": memory,
        },
    )


if __name__ == "__main__":
    main()
