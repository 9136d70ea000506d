"""Build speed on one core, against a loop that only moves the same bytes.

The loop reads every image and label file, hashes and checksums each image, and writes
the images' bytes framed into as many files as the build has shards, hashing and
syncing these too: what any builder must do. Both run in this process, in turn, wall
time; the pipeline's includes scan, plan, Beam and manifest, not the imports.

    python benchmarks/bench_build.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import google_crc32c
from camvid_frames import camvid_folder
from measure import median, peak_memory_mib, spread, write_result

from segdata.annotations import Annotation
from segdata.formats.camvid import CamVid
from segdata.manifest import Manifest
from segdata.pipelines.build import BuildRequest, build
from segdata.pipelines.runner_options import RunnerOptions
from segdata.shards import RecordWriter
from segdata.source import RecordSource

AIM = 1 / 3


def build_once(source: Path, out: Path) -> Manifest:
    shutil.rmtree(out, ignore_errors=True)
    return build(
        BuildRequest(
            format=CamVid(), source=source, out=out, runner=RunnerOptions(workers=1)
        )
    )


def move_bytes(
    frames: list[Annotation], source: Path, out: Path, num_files: int
) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    per_file = -(-len(frames) // num_files)
    for number in range(num_files):
        with open(out / f"{number}", "wb") as file:
            writer = RecordWriter(file)
            for data in frames[number * per_file : (number + 1) * per_file]:
                image = (source / data["image"]).read_bytes()
                label = (source / data["label_image"]["path"]).read_bytes()
                hashlib.sha256(image).hexdigest()
                google_crc32c.value(label)
                writer.write(image)
            file.flush()
            os.fsync(file.fileno())


def check(out: Path, source: Path) -> None:
    """The build under test keeps every image's bytes."""
    for split in ("train", "val"):
        records = RecordSource(out, split)
        for record in records[:: max(1, len(records) // 20)]:
            assert record.encoded == (source / record.filename).read_bytes()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    source, title = camvid_folder()
    frames = list(CamVid().scan(source).annotations)
    with tempfile.TemporaryDirectory() as folder:
        out, copy = Path(folder, "build"), Path(folder, "loop")
        num_files = sum(len(s.shards) for s in build_once(source, out).splits.values())
        check(out, source)
        seconds: dict[str, list[float]] = {"pipeline": [], "loop": []}
        for _ in range(options.repeats):
            start = time.perf_counter()
            move_bytes(frames, source, copy, num_files)
            seconds["loop"].append(time.perf_counter() - start)
            start = time.perf_counter()
            build_once(source, out)
            seconds["pipeline"].append(time.perf_counter() - start)
        shutil.rmtree(out)
        command = [sys.executable, "-m", "segdata", "build", "camvid", str(source)]
        memory, wall = peak_memory_mib([*command, str(out), "--workers", "1"])
    rates = {name: len(frames) / median(values) for name, values in seconds.items()}
    share = rates["pipeline"] / rates["loop"]
    print(f"{title}, {len(frames)} frames, one core, wall time")
    for name, rate in rates.items():
        print(f"  {name:9} {rate:7.0f} images/s   spread {spread(seconds[name])}")
    print(f"  pipeline / loop {share:.2f}   aim: at least {AIM:.2f}")
    print(f"  the whole command: {wall:.1f} s, peak memory {memory:.0f} MiB")
    write_result(
        "build",
        {
            "data": title,
            "images_per_second": rates,
            "pipeline_to_loop": share,
            "command_seconds": wall,
            "peak_memory_mib": memory,
        },
    )


if __name__ == "__main__":
    main()
