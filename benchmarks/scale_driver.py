"""The driver's part of a build, without its images: scan, plan, end, opening.

    python benchmarks/scale_driver.py paths|objects RECORDS FOLDER

`paths` are records whose annotations lie in files of their own, `objects` have eight
polygons each, as COCO's. A thousand source files stand for all. Shards are files of
zeros of the right size, with true receipts, written by other processes.
Prints a JSON of seconds, and of this process's peak memory in MiB.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import own_peak_memory_mib

from segdata.building import output
from segdata.building.options import BuildOptions
from segdata.building.plan import PlannedShard, make_plan, parse_plan_line
from segdata.building.shard import plan_path
from segdata.formats.base import Scan
from segdata.label_map import LabelMap
from segdata.shards.receipt import (
    Counts,
    IndexEntry,
    ShardReceipt,
    dali_index_path,
    write_receipt,
)
from segdata.storage.paths import LocalPath

_RECORDS_PER_SHARD = 7000  # photos of 20 kB and shards of 128 MiB
_RECORD_BYTES = 20_000
_FILES = 1000
_OPEN = """
import sys, time
import segdata, segdata.dataset
start = time.perf_counter()
source = segdata.open(sys.argv[1])["train"]
source._offsets[len(source) // 2]
print(time.perf_counter() - start, flush=True)
sys.stdin.read()
"""


def annotations(kind: str, count: int) -> Iterator[Any]:
    """So many annotation dicts, in no order."""
    for number in range(count):
        key, stem = f"photo_{number * 7919 % count:09d}", f"{number % _FILES:06d}"
        data: dict[str, Any] = {"key": key, "image": f"{stem}.jpg", "split": "train"}
        if kind == "paths":
            data["annotation_file"] = {"path": f"{stem}.json", "reader": "sa-1b"}
        else:
            x = float(number % 500)
            data["objects"] = [
                {
                    "id": number * 8 + item,
                    "category_id": item + 1,
                    "iscrowd": 0,
                    "area": 72.5,
                    "bbox": [x, 3.0, 8.0, 9.0],
                    "segmentation": [[x + step / 7 for step in range(24)]],
                }
                for item in range(8)
            ]
        yield data


def write_shard(out: LocalPath, shard: PlannedShard) -> None:
    """What a worker leaves, but for pixels."""
    lines = plan_path(out, shard.name).read_bytes().splitlines()
    keys = [parse_plan_line(line).data["key"] for line in lines]
    entries = tuple(
        IndexEntry(
            key=key,
            offset=index * _RECORD_BYTES,
            size=_RECORD_BYTES,
            image_sha256=hashlib.sha256(key.encode()).hexdigest(),
            source_sha256=hashlib.sha256(line).hexdigest(),
        )
        for index, (key, line) in enumerate(zip(keys, lines, strict=True))
    )
    with open(out / shard.name, "wb") as file:
        file.truncate(len(entries) * _RECORD_BYTES)
    receipt = ShardReceipt(
        name=shard.name,
        split=shard.split,
        plan_sha256=shard.plan_sha256,
        num_bytes=len(entries) * _RECORD_BYTES,
        sha256="0" * 64,
        records=entries,
        rejects=(),
        counts=Counts(heights=(1, 1), widths=(1, 1)),
    )
    dali_index_path(out, shard.name).write_atomic(receipt.dali_index(), durable=False)
    write_receipt(out, receipt)


def opening(out: LocalPath, processes: int) -> tuple[float, float]:
    """Longest time in seconds and memory of all in MiB, where so many open a build."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    seconds = [
        float(process.stdout.readline()) for process in started if process.stdout
    ]
    memory = sum(_pss_kib(process.pid) for process in started) / 1024
    for process in started:
        process.communicate()
    return max(seconds), memory


def _pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def main() -> None:
    kind, count, out = sys.argv[1], int(sys.argv[2]), LocalPath(sys.argv[3])
    num_shards = max(1, count // _RECORDS_PER_SHARD)
    options = BuildOptions(num_shards=num_shards)
    source = out / "source"
    source.mkdir(parents=True)
    for number in range(_FILES):
        for kind_of_file in ("jpg", "json"):
            (source / f"{number:06d}.{kind_of_file}").touch()
    out = out / "records"
    scan = Scan(
        label_map=LabelMap(), annotations=annotations(kind, count), layout="drawn"
    )
    times = [time.perf_counter()]
    plan = make_plan(scan, source, "drawn", options)
    times.append(time.perf_counter())
    cpu = time.process_time()
    unfinished = output.begin(out, plan, "", overwrite=False)
    times.append(time.perf_counter())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(functools.partial(write_shard, out), unfinished, 1)
    begin = time.perf_counter()
    output.finish(out, name="drawn", scan=scan, plan=plan, settings="", options=options)
    found = {
        "plan_seconds": times[1] - times[0],
        "plan_cpu_seconds": cpu,
        "begin_seconds": times[2] - times[1],
        "finish_seconds": time.perf_counter() - begin,
        "peak_memory_mib": own_peak_memory_mib(),
    }
    for processes in (1, 8):
        seconds, memory = opening(out, processes)
        found[f"open_{processes}_seconds"] = seconds
        found[f"open_{processes}_mib"] = memory
    print(json.dumps(found))


if __name__ == "__main__":
    main()
