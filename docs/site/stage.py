"""Puts the pages of the site into a folder for Sphinx: `python stage.py FOLDER`.

The pages are those of `docs/`, which read well on their own, with what only a site
needs: the list of pages becomes its menu, and the API reference follows from
docstrings.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType

import segdata
import segdata.trainers
from segdata.cli import COMMANDS

SITE = Path(__file__).resolve().parent
DOCS = SITE.parent
ROOT = DOCS.parent
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages that stand beside `docs/`."""

_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")

LIBRARY = {
    "Build and check": ("build", "verify", "stats", "About"),
    "Open a build": ("open", "Dataset", "RecordSource", "LabelMap"),
    "Read as tf.data": ("read_semantic", "read_instances", "hosts"),
    "Read in PyTorch and Grain": (
        *("semantic_source", "instances_source", "SampleSource", "Sampler"),
    ),
    "Options of readers": ("ImageOptions", "InstanceOptions", "Augmentation", "Resize"),
    "One record at a time": ("rle", "dict_to_tf_example", "serialize"),
}
"""Section -> public names of `segdata`; other ones stand at the end."""

TRAINERS = {
    "Train": ("train", "TrainOptions"),
    "Use a run": ("load_run", "TrainedRun"),
    "Score predictions": ("evaluate_label_maps", "evaluate_detections"),
    "Models": ("models.build_model", "models.options.ModelOptions"),
}
"""Section -> names below `segdata.trainers`."""


def stage(folder: Path) -> None:
    """Writes all that Sphinx reads."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("*.py", "site"))
    shutil.copy(SITE / "conf.py", folder)
    (folder / "_static").mkdir()
    shutil.copy(SITE / "site.css", folder / "_static")
    for name in BESIDE:
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        (folder / name).write_text(text, "utf-8")
    for page in folder.rglob("*.md"):
        where = DOCS / page.relative_to(folder).parent
        text = _LINK.sub(partial(_for_site, where), page.read_text("utf-8"))
        page.write_text(text.replace("README.md", "index.md"), "utf-8")
    index = (folder / "README.md").read_text("utf-8")
    (folder / "README.md").unlink()
    (folder / "index.md").write_text(index + "\n".join(menus(index)), "utf-8")
    commands = (folder / "commands.md").read_text("utf-8")
    pages = [f"commands/{name}" for name in COMMANDS]
    (folder / "commands.md").write_text(commands + "\n".join(_menu(pages)), "utf-8")
    (folder / "api.md").write_text(library_page(), "utf-8")
    (folder / "api-trainers.md").write_text(trainers_page(), "utf-8")


def _for_site(where: Path, link: re.Match[str]) -> str:
    """A link as the site has it: files that are no pages, such as examples, lose it."""
    target = (where / link[2]).resolve()
    if target.parent == ROOT and target.name in BESIDE:
        up, anchor = "../" * (where != DOCS), link[3] or ""
        return f"[{link[1]}]({up}{target.name}{anchor})"
    return link[0] if target.is_relative_to(DOCS) else link[1]


def menus(index: str) -> list[str]:
    """A hidden list of pages for each section of the list of pages."""
    found = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        pages = re.findall(r"\]\((?:\.\./)?([\w./-]+)\.md\)", text)
        if title == "Reference":
            pages += ["api", "api-trainers"]
        found += _menu(pages, f":caption: {title}")
    return found


def _menu(pages: Iterable[str], *options: str) -> list[str]:
    return ["", "```{toctree}", ":hidden:", *options, "", *pages, "```", ""]


def library_page() -> str:
    """The names of `segdata.__all__`."""
    text = _page("Python: the library", segdata, LIBRARY)
    return text + _directive("automodule", "segdata.errors", "Errors")


def trainers_page() -> str:
    """The names of `segdata.trainers.__all__`, and models."""
    return _page("Python: trainers", segdata.trainers, TRAINERS)


def _page(title: str, package: ModuleType, sections: dict[str, tuple[str, ...]]) -> str:
    parts = [f"# {title}\n"]
    listed = {name for names in sections.values() for name in names}
    others = tuple(sorted({*package.__all__} - listed - {"__version__"}))
    for section, names in {**sections, **({"More": others} if others else {})}.items():
        parts.append(f"\n## {section}\n")
        for name in names:
            last = name.rpartition(".")[2]
            kind = "autoclass" if last[0].isupper() else "autofunction"
            kind = "automodule" if last == "hosts" else kind
            where = (
                "segdata.reading.hosts"
                if last == "hosts"
                else f"{package.__name__}.{name}"
            )
            parts.append(_directive(kind, where))
    return "".join(parts)


def _directive(kind: str, name: str, title: str = "") -> str:
    heading = f"\n## {title}\n" if title else ""
    members = "   :members:\n" if kind != "autofunction" else ""
    return f"{heading}\n```{{eval-rst}}\n.. {kind}:: {name}\n{members}```\n"


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
