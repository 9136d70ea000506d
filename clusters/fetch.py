"""Gets what `make test-cluster` runs on: job servers of Flink and Spark, and Prism.

    python clusters/fetch.py FOLDER

Maven resolves each job server's classes from the POM beside this file; a small jar
names them all, so that Beam can start it as `--flink_job_server_jar`. Go builds Prism.
What cannot be had is said and left out; its tests are then skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAIN_CLASSES = {
    "flink": "org.apache.beam.runners.flink.FlinkJobServerDriver",
    "spark": "org.apache.beam.runners.spark.SparkJobServerDriver",
}
JOB_SERVER_JAR = "job-server.jar"
_MANIFEST_WIDTH = 70  # bytes of a line; the format allows 72


def fetch_job_server(name: str, folder: Path) -> None:
    """Resolves the classes of one job server and writes the jar that names them."""
    target = folder / name
    if (target / JOB_SERVER_JAR).exists():
        return
    command = ["mvn", "-B", "-q", "-f", HERE / name / "pom.xml"]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={target / 'jars'}"]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    jars = sorted(path.name for path in (target / "jars").glob("*.jar"))
    lines = (
        "Manifest-Version: 1.0",
        f"Main-Class: {MAIN_CLASSES[name]}",
        f"Class-Path: {' '.join(f'jars/{jar}' for jar in jars)}",
    )
    text = b"".join(_folded(line) for line in lines) + b"\r\n"
    with zipfile.ZipFile(target / JOB_SERVER_JAR, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", text)


def fetch_prism(folder: Path) -> None:
    """Builds Prism of this Beam's version."""
    if (folder / "prism").exists():
        return
    package = "github.com/apache/beam/sdks/v2/go/cmd/prism"
    subprocess.run(
        ["go", "install", f"{package}@v{version('apache-beam')}"],
        check=True,
        env=os.environ | {"GOBIN": str(folder)},
        stdout=sys.stderr,
    )


def _folded(line: str) -> bytes:
    """A line of a jar's manifest: what is too long goes on after a blank."""
    rest = line.encode()
    parts = [rest[:_MANIFEST_WIDTH]]
    rest = rest[_MANIFEST_WIDTH:]
    while rest:
        parts.append(b" " + rest[: _MANIFEST_WIDTH - 1])
        rest = rest[_MANIFEST_WIDTH - 1 :]
    return b"\r\n".join(parts) + b"\r\n"


def main() -> None:
    """Fetches everything that can be had."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {
        name: (lambda n=name: fetch_job_server(n, folder)) for name in MAIN_CLASSES
    }
    tasks["prism"] = lambda: fetch_prism(folder)
    for name, task in tasks.items():
        try:
            task()
            print(f"{name}: ready")
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(folder / name / "jars", ignore_errors=True)
            print(f"{name}: cannot be had here: {error}")


if __name__ == "__main__":
    main()
