"""`segdata stats` against the build itself, on COPIES copies of a COCO dataset.

Both as the commands that users run, on WORKERS workers, in turn: wall time, CPU time of
all processes, peak memory. It is checked first that the numbers are those of the
source. Then: what a sample of the images costs in accuracy, against all of them, and
what decoding at an eighth of the size would cost (it is not used for that).

    python benchmarks/bench_stats.py [--copies 20] [--repeats 3] [--workers 1]
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import SHARED_DATA, median, peak_memory_mib, spread, write_result
from PIL import Image

import segdata

AIM = 1 / 3


def make_copies(source: Path, folder: Path, count: int) -> dict[str, int]:
    """Writes every image and annotation `count` times; returns what there is."""
    content = json.loads((source / "annotations/instances.json").read_bytes())
    copied = {**content, "images": [], "annotations": []}
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number in range(count):
        for image in content["images"]:
            name = f"{number}_{image['file_name']}"
            shutil.copy(
                source / "images" / image["file_name"], folder / "images" / name
            )
            new_id = image["id"] * count + number
            copied["images"].append({**image, "id": new_id, "file_name": name})
        for item in content["annotations"]:
            ids = {key: item[key] * count + number for key in ("id", "image_id")}
            copied["annotations"].append({**item, **ids})
    (folder / "annotations/instances.json").write_text(json.dumps(copied))
    return {
        "images": len(copied["images"]),
        "objects": len(copied["annotations"]),
        "crowds": sum(item["iscrowd"] for item in copied["annotations"]),
    }


def cost(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command and its processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def accuracy(out: Path, command: list[str]) -> dict[str, list[float]]:
    """Means and deviations by each way of looking at the pixels."""
    found = {}
    for mode in ("all", "sample"):
        subprocess.run([*command, f"--pixels={mode}"], check=True, capture_output=True)
        channels = segdata.open(out).stats["splits"]["train"]["channels"]
        found[f"{mode} mean"] = channels["mean"]
        found[f"{mode} std"] = channels["std"]
        if mode == "sample":
            found["sample standard error"] = channels["standard_error"]
            found["sample images"] = [channels["images"]]
    small = []
    for record in segdata.open(out)["train"]:
        image = Image.open(io.BytesIO(record.encoded))
        image.draft("RGB", (image.width // 8, image.height // 8))
        small.append(np.asarray(image.convert("RGB")).reshape(-1, 3))
    pixels = np.concatenate(small).astype(np.float64)
    found["eighth mean"] = pixels.mean(axis=0).tolist()
    found["eighth std"] = pixels.std(axis=0).tolist()
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--copies", type=int, default=20)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=1)
    options = arguments.parse_args()
    segdata_command = [sys.executable, "-m", "segdata"]
    workers = f"--workers={options.workers}"
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        expected = make_copies(SHARED_DATA / "coco", source, options.copies)
        build = [*segdata_command, "build", "coco", str(source), str(out)]
        build += ["--overwrite", workers]
        count = [*segdata_command, "stats", str(out), workers]
        runs: dict[str, list[tuple[float, float]]] = {"build": [], "stats": []}
        for round_index in range(options.repeats + 1):
            for name, command in (("build", build), ("stats", count)):
                measured = cost(command)
                if round_index:
                    runs[name].append(measured)
        counted = segdata.open(out).stats["splits"]["train"]
        assert {key: counted[key] for key in expected} == expected
        memory = {
            name: peak_memory_mib(command)[0]
            for name, command in (("build", build), ("stats", count))
        }
        pixels = accuracy(out, count)
    wall = {name: [wall for wall, _ in found] for name, found in runs.items()}
    cpu = {name: [cpu for _, cpu in found] for name, found in runs.items()}
    ratios = {
        "wall": median(wall["stats"]) / median(wall["build"]),
        "cpu": median(cpu["stats"]) / median(cpu["build"]),
    }
    print(f"{options.copies} copies of COCO, {expected['images']} images, {workers}")
    for name in runs:
        print(
            f"  {name:6} {median(wall[name]):6.2f} s (spread {spread(wall[name])}), "
            f"CPU {median(cpu[name]):6.2f} s, peak memory {memory[name]:.0f} MiB"
        )
    print(f"  stats / build: wall {ratios['wall']:.2f}, CPU {ratios['cpu']:.2f}")
    print(f"  aim: at most {AIM:.2f}")
    for name, values in pixels.items():
        print(f"  {name:22}", " ".join(f"{value:8.3f}" for value in values))
    write_result(
        "stats",
        {
            "images": expected["images"],
            "workers": options.workers,
            "wall_seconds": {name: median(values) for name, values in wall.items()},
            "cpu_seconds": {name: median(values) for name, values in cpu.items()},
            "ratio": ratios,
            "peak_memory_mib": memory,
            "pixels": pixels,
        },
    )


if __name__ == "__main__":
    main()
