"""Runs the tests of what is compiled from C on it, compiled with sanitizers.

python tests/fuzz/sanitized.py [PYTEST ARGUMENTS]

Address and undefined-behaviour sanitizers end the run at the first bad access.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = ("-shared", "-fPIC", "-g", "-O1", "-ffp-contract=off")
TESTS = ("masks", "images/test_plain_png.py")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def main() -> int:
    """Compiles, then runs pytest; returns its exit code."""
    package = ROOT / "build" / "sanitized" / "segdata"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "segdata", package, ignore=shutil.ignore_patterns("*.so"))
    source = package / "masks" / "_runs.c"
    library = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
    include = f"-I{sysconfig.get_paths()['include']}"
    command = ["gcc", *FLAGS, *SANITIZERS, include, str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    asan = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True)
    report = package.parent / "report"  # pytest would swallow it
    environment = os.environ | {
        "PYTHONPATH": str(package.parent),
        "LD_PRELOAD": asan.strip(),
        # Python frees little before it ends; pycocotools 2.0.11, our reference, gives
        # strlen a text that does not end where its memory does.
        "ASAN_OPTIONS": f"detect_leaks=0:intercept_strlen=0:log_path={report}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={report}",
    }
    tests = [ROOT / "tests/segdata" / name for name in TESTS]
    options = ["-p", "no:cacheprovider", "-q", *sys.argv[1:]]
    pytest = [sys.executable, "-m", "pytest", *map(str, tests), *options]
    code = subprocess.run(pytest, env=environment, check=False).returncode
    for path in package.parent.glob("report.*"):
        sys.stderr.write(path.read_text())
        path.unlink()
    return code


if __name__ == "__main__":
    sys.exit(main())
