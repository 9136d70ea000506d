"""Fuzzes the parsers: whatever the bytes, they answer or raise one of our errors.

    python tests/fuzz/fuzz.py --seconds 60 [TARGET ...]

Each target runs in a process of its own under atheris, which is guided by coverage,
from seeds that are drawn anew (`seeds.py`). Bytes that once broke something lie in
`tests/fuzz/found/TARGET/`; `tests/fuzz/test_found.py` runs them as an ordinary test.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


@click.command()
@click.option("--seconds", default=60, help="Seconds for each target.")
@click.argument("names", nargs=-1)
def main(seconds: int, names: tuple[str, ...]) -> None:
    """Fuzzes each target in turn; exit code 1 if anything was found."""
    from targets import TARGETS

    failed = []
    for name in names or TARGETS:
        if name not in TARGETS:
            raise click.UsageError(f"no target {name}: expected one of {[*TARGETS]}")
        click.echo(f"{name}: {seconds} s")
        with tempfile.TemporaryDirectory() as corpus:
            command = [sys.executable, __file__, "--child", name, corpus]
            limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000"]
            found = HERE / "found" / name
            found.mkdir(parents=True, exist_ok=True)
            limits += ["-max_len=65536", f"-artifact_prefix={found}/"]
            if subprocess.run([*command, *limits], check=False).returncode:
                failed.append(name)
            if not any(found.iterdir()):
                found.rmdir()
    click.echo(
        f"found something in: {', '.join(failed)}" if failed else "nothing found"
    )
    sys.exit(bool(failed))


def child(name: str, corpus: str, arguments: list[str]) -> None:
    """Fuzzes one target until the time is over or it breaks."""
    import atheris

    with atheris.instrument_imports(include=["segdata"]):
        from targets import held

        with held(name) as run:
            run(b"")  # what it imports itself is instrumented too
    from mutate import mutate_json
    from seeds import write_seeds
    from targets import JSON_TARGETS

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        changed = mutate_json(data, size, seed) if seed % 4 else None
        return atheris.Mutate(data, size) if changed is None else changed

    write_seeds(name, Path(corpus))
    options = {"custom_mutator": mutate} if name in JSON_TARGETS else {}
    with held(name) as run:
        atheris.Setup([sys.argv[0], corpus, *arguments], run, **options)
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()
