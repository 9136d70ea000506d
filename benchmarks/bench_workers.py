"""What a second worker gains, and how long the smallest build takes.

The whole command, real CamVid and COPIES of it, with one and with two workers in turn;
the difference of the two sizes is the rate after start-up, the whole wall time is told
as well. Then 16 images, from the prompt to the prompt. CPU seconds tell what a second
worker costs: unlike the wall time they can be compared on a busy machine too.

    python benchmarks/bench_workers.py [--repeats 3] [--copies 12]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench_build import find_frames, make_copies
from camvid_frames import camvid_folder
from measure import Run, median, run_watched, spread, write_result

AIM_SPEED_UP = 1.7
AIM_SMALL_SECONDS = 5.0
SMALL = 16


def command(source: Path, out: Path, *options: str) -> list[str]:
    """One build by the command line, into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    build = ["-m", "segdata", "build", "camvid", str(source), str(out)]
    return [sys.executable, "-P", *build, *options]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--copies", type=int, default=12)
    options = arguments.parse_args()
    original, title = camvid_folder()
    frames = find_frames(original)
    counts = (1, options.copies)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sources = {n: make_copies(frames, root / f"source-{n}", n) for n in counts}
        small = make_copies(frames[:SMALL], root / "small", 1)
        runs: dict[tuple[int, int], list[Run]] = {
            (workers, n): [] for n in counts for workers in (1, 2)
        }
        small_seconds = []
        for _ in range(options.repeats):
            for (workers, n), values in runs.items():
                build = command(
                    sources[n], root / "out", f"--workers={workers}", "--shards=16"
                )
                values.append(run_watched(build, memory=False))
            build = command(small, root / "out")
            small_seconds.append(run_watched(build, memory=False).wall)
    walls = {key: median([r.wall for r in found]) for key, found in runs.items()}
    cpus = {key: median([r.cpu for r in found]) for key, found in runs.items()}
    extra = len(frames) * (options.copies - 1)
    rates = {w: extra / (walls[w, options.copies] - walls[w, 1]) for w in (1, 2)}
    print(f"{title}, {len(frames)} frames and {options.copies} copies")
    for workers, rate in rates.items():
        key = workers, options.copies
        print(
            f"  {workers} workers: {rate:6.0f} images/s after start-up, "
            f"{walls[key]:5.1f} s in all ({cpus[key]:.1f} s of CPU), spread "
            f"{spread([r.wall for r in runs[key]])}; "
            f"one copy {walls[workers, 1]:.1f} s ({cpus[workers, 1]:.1f} s of CPU)"
        )
    speed_up = rates[2] / rates[1]
    in_all = walls[1, options.copies] / walls[2, options.copies]
    print(
        f"  two against one: {speed_up:.2f} after start-up, {in_all:.2f} in all   "
        f"aim: at least {AIM_SPEED_UP}"
    )
    print(
        f"  {SMALL} images end to end: {median(small_seconds):.1f} s   "
        f"aim: under {AIM_SMALL_SECONDS:.0f}"
    )
    write_result(
        "workers",
        {
            "images_per_second": rates,
            "speed_up": speed_up,
            "speed_up_in_all": in_all,
            "cpu_seconds": {
                f"{w} workers, {n} copies": c for (w, n), c in cpus.items()
            },
            "small_build_seconds": median(small_seconds),
        },
    )


if __name__ == "__main__":
    main()
