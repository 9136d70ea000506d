"""Runs the notebooks of this folder from top to bottom and keeps what they print.

python examples/run_notebooks.py    # `make notebooks`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
MAX_BYTES = 400_000


def run(path: Path, folder: str) -> None:
    """Runs one notebook in a folder.

    Raises:
      CellExecutionError: If a cell fails.
      ValueError: If its outputs are too large for the repository.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    text = nbformat.writes(notebook)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{path.name} has {len(text)} bytes: expected {MAX_BYTES}.")
    path.write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    for path in [FOLDER / name for name in sys.argv[1:]] or FOLDER.glob("*.ipynb"):
        with tempfile.TemporaryDirectory() as folder:
            run(path, folder)
        print("ran", path.name)
