"""Gets what `make test-cluster`, `make test-hdfs` and `make test-gcs` run on.

    python clusters/fetch.py FOLDER [NAME ...]

They are the job servers of Flink and Spark, Prism, a small HDFS and an emulator of GCS;
all, or some.
Maven resolves the classes of each from the POM beside this file; a small jar names all
those of a job server, so that Beam can start it as `--flink_job_server_jar`. Go builds
Prism and the emulator. What cannot be had is said and left out; its tests are then
skipped.
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
    jars = fetch_jars(name, folder)
    lines = (
        "Manifest-Version: 1.0",
        f"Main-Class: {MAIN_CLASSES[name]}",
        f"Class-Path: {' '.join(f'jars/{jar}' for jar in jars)}",
    )
    text = b"".join(_folded(line) for line in lines) + b"\r\n"
    with zipfile.ZipFile(target / JOB_SERVER_JAR, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", text)


def fetch_jars(name: str, folder: Path) -> list[str]:
    """Resolves the classes of a POM; returns the names of the jars, in `NAME/jars`."""
    jars = folder / name / "jars"
    shutil.rmtree(jars, ignore_errors=True)  # may be those of another version
    command = ["mvn", "-B", "-q", "-f", HERE / name / "pom.xml"]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={jars}"]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    return sorted(path.name for path in jars.glob("*.jar"))


def fetch_prism(folder: Path) -> None:
    """Builds Prism of this Beam's version."""
    if (folder / "prism").exists():
        return
    package = "github.com/apache/beam/sdks/v2/go/cmd/prism"
    install_go(f"{package}@v{version('apache-beam')}", folder)


def fetch_fake_gcs_server(folder: Path) -> None:
    """Builds the emulator of GCS."""
    if not (folder / "fake-gcs-server").exists():
        install_go("github.com/fsouza/fake-gcs-server@v1.56.1", folder)


def install_go(package: str, folder: Path) -> None:
    """Builds a program, into a folder."""
    subprocess.run(
        ["go", "install", package],
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
    """Fetches everything that is asked for and can be had."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {
        name: (lambda n=name: fetch_job_server(n, folder)) for name in MAIN_CLASSES
    }
    tasks["prism"] = lambda: fetch_prism(folder)
    tasks["fake-gcs-server"] = lambda: fetch_fake_gcs_server(folder)
    tasks["hdfs"] = lambda: fetch_jars("hdfs", folder)
    for name in sys.argv[2:] or tasks:
        try:
            tasks[name]()
            print(f"{name}: ready")
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(folder / name / "jars", ignore_errors=True)
            print(f"{name}: cannot be had here: {error}")


if __name__ == "__main__":
    main()
