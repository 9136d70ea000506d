"""Build speed on one core, against a loop that only moves the same bytes.

The loop reads every image and label file, hashes and checksums each image, and writes
the images' bytes framed into as many files as the build has shards, hashing and
syncing these too: what any builder must do. Both run in this process, in turn, wall
time, over the dataset and over COPIES copies of it; the difference of the two is the
rate after start-up (Beam's own, some tenths of a second, falls out of it).

    python benchmarks/bench_build.py [--repeats 5] [--copies 5]
    python benchmarks/bench_build.py --peers     # see bench_build_peers.py
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

import bench_build_peers
import google_crc32c
from camvid_frames import camvid_folder
from measure import median, peak_memory_mib, spread, write_result

from segdata.building.build import build
from segdata.formats.camvid.format import CamVid
from segdata.reading.record_source import RecordSource
from segdata.shards.tfrecord import RecordWriter

AIM = 1 / 3
SHARDS = 8

Frame = tuple[Path, Path]  # image and label image


def find_frames(source: Path) -> list[Frame]:
    return [
        (source / data["image"], source / data["label_image"]["path"])
        for data in CamVid().scan(source).annotations
    ]


def make_copies(frames: list[Frame], folder: Path, count: int) -> Path:
    """A source that holds every frame `count` times."""
    for index, files in enumerate(frames):
        for name, file in zip(("train", "trainannot"), files, strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                shutil.copy(file, folder / name / f"{index}_{number}.png")
    return folder


def build_once(source: Path, out: Path) -> None:
    build(CamVid(), source, out, num_shards=SHARDS)


def move_bytes(source: Path, out: Path) -> None:
    out.mkdir()
    frames = find_frames(source)
    per_file = -(-len(frames) // SHARDS)
    for number in range(SHARDS):
        with open(out / f"{number}", "wb") as file:
            writer = RecordWriter(file)
            for image_path, label_path in frames[
                number * per_file : (number + 1) * per_file
            ]:
                image, label = image_path.read_bytes(), label_path.read_bytes()
                hashlib.sha256(image).hexdigest()
                google_crc32c.value(label)
                writer.write(image)
            file.flush()
            os.fsync(file.fileno())


def check(out: Path, source: Path) -> None:
    """The build under test keeps every image's bytes."""
    records = RecordSource(out, "train")
    for record in records[:: max(1, len(records) // 20)]:
        assert record.encoded == (source / record.filename).read_bytes()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, help="5; with --peers 1")
    arguments.add_argument("--copies", type=int, default=5)
    arguments.add_argument(
        "--peers", action="store_true", help="against TFDS and one PNG per object"
    )
    options = arguments.parse_args()
    if options.peers:
        bench_build_peers.main(options.repeats or 1, options.copies)
        return
    repeats = options.repeats or 5
    original, title = camvid_folder()
    frames = find_frames(original)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sources = {
            count: make_copies(frames, root / f"source-{count}", count)
            for count in (1, options.copies)
        }
        build_once(sources[1], root / "out")
        check(root / "out", sources[1])
        runs = {"loop": move_bytes, "pipeline": build_once}
        seconds: dict[tuple[str, int], list[float]] = {
            (name, count): [] for count in sources for name in runs
        }
        for _ in range(repeats):
            for (name, count), values in seconds.items():
                shutil.rmtree(root / name, ignore_errors=True)
                start = time.perf_counter()
                runs[name](sources[count], root / name)
                values.append(time.perf_counter() - start)
        command = [sys.executable, "-m", "segdata", "build", "camvid"]
        memory, wall = {}, {}
        for count, source in sources.items():
            line = [*command, str(source), str(root / f"cli-{count}"), "--workers", "1"]
            memory[count], wall[count] = peak_memory_mib(line)
    extra = len(frames) * (options.copies - 1)
    rates = {
        name: extra / (median(seconds[name, options.copies]) - median(seconds[name, 1]))
        for name in runs
    }
    share = rates["pipeline"] / rates["loop"]
    print(f"{title}, {len(frames)} frames and {options.copies} copies, one core")
    for name, rate in rates.items():
        values = seconds[name, options.copies]
        print(f"  {name:9} {rate:6.0f} images/s   spread {spread(values)}")
    print(f"  pipeline / loop after start-up {share:.2f}   aim: at least {AIM:.2f}")
    for count in sources:
        print(
            f"  the whole command, {len(frames) * count} frames: {wall[count]:.1f} s, "
            f"peak memory {memory[count]:.0f} MiB"
        )
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
