"""The rules of the house, read from the source: who imports whom, names, sizes, words.

Each rule is a function from sources to a list of offences, so that it is also tried on
sources that break it.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import segdata
from segdata.records import schema
from segdata.samples.camvid import write_camvid_sample

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 80

ROOMS = [
    "version",
    "errors",
    "progress",
    "cpus",
    "split_names",
    "identity",
    "label_map",
    "annotations",
    "validation",
    "storage",
    "masks",
    "images",
    "formats",
    "records",
    "shards",
    "building",
    "reading",
    "streams",
    "drawing",
    "statistics",
    "dataset",
    "report",
    "exports",
    "checking",
    "samples",
    "pipelines",
    "trainers",
    "commands",
    "cli",
    "__main__",
]
"""A room imports only rooms before it. The package itself may name any."""
ONLY_IN = {
    "tensorflow": "streams trainers",
    "keras": "trainers",
    "apache_beam": "pipelines",
    "click": "commands cli",
}
"""What is imported in these rooms only."""


@dataclass(frozen=True)
class Source:
    """One file of Python."""

    name: str
    """Module name as installed: `segdata.pipelines.shards`."""
    path: str
    """Path below the root."""
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def room(self) -> str:
        """The folder or file below the package; `` of the package itself."""
        return room_of(self.name)

    @cached_property
    def imports(self) -> list[str]:
        """Every imported name, at whatever depth; `from a import b` gives `a.b`."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found += [f"{base}.{alias.name}" for alias in node.names]
        return found

    def imports_from(self, *packages: str) -> list[str]:
        return [name for name in self.imports if is_below(name, *packages)]

    @cached_property
    def strings(self) -> list[str]:
        constants = (n for n in ast.walk(self.tree) if isinstance(n, ast.Constant))
        values = (node.value for node in constants)
        return [
            value.decode("latin-1") if isinstance(value, bytes) else value
            for value in values
            if isinstance(value, str | bytes)
        ]


def room_of(name: str) -> str:
    """Room of a module, of whatever depth; `` of the package itself."""
    return [*name.split("."), ""][1]


def is_below(name: str, *packages: str) -> bool:
    return any(
        name == package or name.startswith(f"{package}.") for package in packages
    )


def read_source(path: Path) -> Source:
    relative = path.relative_to(ROOT).as_posix()
    name = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if name.startswith(("pipelines", "trainers")):
        name = f"segdata.{name}"
    return Source(name, relative, path.read_text("utf-8"))


def planted(text: str, path: str = "segdata/masks/planted.py") -> list[Source]:
    name = path.removesuffix(".py").replace("/", ".")
    return [Source(name if "segdata" in name else f"segdata.{name}", path, text)]


SOURCES = [
    read_source(path)
    for folder in ("segdata", "pipelines", "trainers")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
ALL_SOURCES = [
    *SOURCES,
    read_source(ROOT / "setup.py"),
    *(read_source(path) for path in sorted((ROOT / "benchmarks").rglob("*.py"))),
]
NAMES = {source.name for source in SOURCES}


# --- Who imports whom.


def wrong_directions(sources: list[Source]) -> list[str]:
    """Imports of rooms that come later than one's own, and of rooms without a place."""
    found = []
    for source in sources:
        allowed = {*ROOMS[: ROOMS.index(source.room) + 1], "__version__"}
        names = source.imports_from("segdata", "pipelines", "trainers")
        found += [
            f"{source.path} imports {name}"
            for name in names
            if not name.startswith("segdata.") or room_of(name) not in allowed
        ]
    return found


def imports_outside(sources: list[Source], package: str) -> list[str]:
    """Imports of a package outside the rooms that may have it."""
    return [
        f"{source.path} imports {name}"
        for source in sources
        if source.room not in ONLY_IN[package].split()
        for name in source.imports_from(package)
    ]


def import_graph(sources: list[Source]) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports, at whatever depth."""
    names = {source.name for source in sources}
    graph = {}
    for source in sources:
        modules = {
            name if name in names else name.rpartition(".")[0]
            for name in source.imports
        }
        graph[source.name] = modules & names
    return graph


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reading_in_the_core(sources: list[Source]) -> list[str]:
    """Rooms that make a record of bytes in hand, and read nothing."""
    return [
        f"{source.path} imports {name}"
        for source in sources
        if source.room in ("masks", "images", "records")
        for name in source.imports_from("segdata.storage")
    ]


INSIDE = [source for source in SOURCES if source.room]


def test_every_module_is_in_a_room():
    assert {source.room for source in INSIDE} == set(ROOMS)


def test_rooms_import_only_rooms_before_them():
    assert not wrong_directions(INSIDE)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("segdata/masks/planted.py", "import segdata.records.schema"),
        ("segdata/reading/planted.py", "from segdata import trainers"),
        (
            "segdata/shards/planted.py",
            "def f():\n    from segdata.streams import reader",
        ),
        ("pipelines/planted.py", "from segdata.trainers.run.train import train"),
        ("trainers/planted.py", "from segdata.commands import train"),
        ("trainers/planted.py", "import pipelines"),
        ("segdata/errors.py", "from segdata import LabelMap"),
    ],
)
def test_import_of_a_later_room_is_seen(path, text):
    assert wrong_directions(planted(text, path))


def test_the_core_reads_nothing():
    assert not reading_in_the_core(INSIDE)
    assert reading_in_the_core(planted("from segdata.storage import files"))


def test_modules_import_each_other_in_no_circle():
    assert not cycle_in(import_graph(SOURCES))


def test_import_circle_through_a_function_is_seen():
    one = Source("segdata.one", "segdata/one.py", "from segdata import two")
    two = Source("segdata.two", "segdata/two.py", "def f():\n  import segdata.one")
    assert cycle_in(import_graph([one, two]))


@pytest.mark.parametrize("package", ONLY_IN)
def test_heavy_packages_are_imported_in_their_rooms_only(package):
    assert not imports_outside(INSIDE, package)
    assert any(source.imports_from(package) for source in INSIDE)


@pytest.mark.parametrize(
    "text",
    [
        "import tensorflow as tf",
        "from tensorflow.io import gfile",
        "import tensorflow.io",
    ],
)
def test_import_of_a_restricted_package_is_seen(text):
    assert imports_outside(planted(text), "tensorflow")


def test_keras_is_never_taken_from_tensorflow():
    below_tf = [
        source.path
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr == "keras"
    ]
    assert not below_tf  # `tf.keras` may be another Keras than `keras`


# --- What is loaded when.

LOADED = """
import json, sys
def loaded():
    heavy = "tensorflow keras apache_beam numpy PIL click pycocotools".split()
    return sorted(set(heavy) & sys.modules.keys())
"""


def run_python(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_segdata_loads_nothing_heavy():
    code = LOADED + "import segdata; segdata.__version__; print(loaded())"
    assert run_python(code) == "[]\n"


def test_building_a_record_loads_neither_tensorflow_nor_beam(tmp_path):
    write_camvid_sample(tmp_path, seed=0, num_train=1, num_val=0)
    code = LOADED + (
        "import segdata\n"
        "from segdata.formats.camvid.format import CamVid\n"
        "from segdata.storage.paths import locate\n"
        "scan = CamVid().scan(locate(sys.argv[1]))\n"
        "[data] = scan.annotations\n"
        "example = segdata.dict_to_tf_example(data, scan.label_map, sys.argv[1])\n"
        "assert len(example.SerializeToString()) > 10_000\n"
        "print(json.dumps(loaded()))\n"
    )
    assert json.loads(run_python(code, tmp_path)) == ["PIL", "numpy", "pycocotools"]


def test_importing_the_build_pipeline_loads_no_tensorflow():
    code = LOADED + "import segdata.pipelines.shards; print(json.dumps(loaded()))"
    modules = json.loads(run_python(code))
    assert "apache_beam" in modules
    assert not {"tensorflow", "keras", "click"} & set(modules)


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        ("--help", "tensorflow keras apache_beam numpy PIL"),
        ("--version", "tensorflow keras apache_beam numpy PIL"),
        ("build camvid --help", "tensorflow keras apache_beam"),
        ("info --help", "tensorflow keras apache_beam"),
        ("verify --help", "tensorflow keras apache_beam"),
        ("show --help", "tensorflow keras apache_beam"),
        ("train --help", "tensorflow keras apache_beam"),
        ("evaluate --help", "tensorflow keras apache_beam"),
        ("predict --help", "tensorflow keras apache_beam"),
    ],
)
def test_help_spares_what_costs_seconds(command, spared):
    code = LOADED + (
        "from segdata.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print(json.dumps(loaded()))\n"
    )
    *text, modules = run_python(code, *command.split()).splitlines()
    assert re.match("Usage: |segdata, version ", text[0])
    assert "click" in json.loads(modules)
    assert not set(spared.split()) & set(json.loads(modules))


def test_reading_without_tensorflow_says_which_extras_to_choose_from():
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "import segdata\n"
        "from segdata.errors import MissingDependencyError\n"
        "try:\n    segdata.read_semantic\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    [line] = run_python(code).splitlines()
    for words in ("TensorFlow", "segdata[tensorflow]", "segdata[cpu]", "segdata[tpu]"):
        assert words in line
    assert "pip install" in line


def test_tensorflow_that_is_broken_is_not_called_missing(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import a_library_that_is_gone\n")
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import segdata\n"
        "try:\n    segdata.read_semantic\n"
        "except ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    assert run_python(code, tmp_path) == "a_library_that_is_gone\n"


# --- Names, sizes and words.


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(sources: list[Source]) -> list[str]:
    return [
        f"{source.path}: {function.name} has {lines} lines"
        for source in sources
        for function in functions(source)
        if (lines := (function.end_lineno or 0) - function.lineno + 1)
        > MAX_FUNCTION_LINES
    ]


def undocumented(sources: list[Source]) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""

    def below(node: ast.AST, path: str) -> Iterator[str]:
        if not ast.get_docstring(node):  # type: ignore[arg-type]
            yield path
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        for child in ast.iter_child_nodes(node):
            named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if isinstance(child, named) and not child.name.startswith("_"):
                yield from below(child, f"{path}.{child.name}")

    return [found for source in sources for found in below(source.tree, source.name)]


def prints(sources: list[Source]) -> list[str]:
    return [
        f"{source.path}:{node.lineno}"
        for source in sources
        if Path(source.path).name not in ("progress.py", "cli.py")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name) and node.id == "print"
    ]


def relative_imports(sources: list[Source]) -> list[str]:
    return [
        f"{source.path} imports {name}"
        for source in sources
        for name in source.imports
        if name.startswith(".")
    ]


def keys_outside_the_schema(sources: list[Source]) -> list[str]:
    """Feature keys, or the start of one, spelled out elsewhere than in features.py."""
    return [
        f"{source.path} spells {text!r}"
        for source in sources
        if source.path != "segdata/records/schema.py"
        for text in source.strings
        if re.fullmatch(r"(image|segdata)/[\w/]*", text)
    ]


@pytest.mark.parametrize("source", ALL_SOURCES, ids=lambda source: source.path)
def test_file_can_be_read_in_one_sitting(source):
    assert len(source.text.splitlines()) <= MAX_FILE_LINES


def test_function_fits_on_a_screen():
    assert not long_functions(ALL_SOURCES)


def test_function_of_81_lines_is_seen():
    body = "    pass\n" * 79
    assert not long_functions(planted(f"def f():\n{body}"))
    assert long_functions(planted(f"class A:\n  async def f():\n{body}    pass\n"))


def test_no_file_or_folder_is_named_for_nothing():
    nothing = re.compile(r"(\w*_)?(utils?|helpers?|common|misc|stuff)(_\w*)?")
    parts = {part for source in ALL_SOURCES for part in Path(source.path).parts}
    assert "rle.py" in parts
    assert not [part for part in parts if nothing.fullmatch(part.removesuffix(".py"))]


def test_imports_are_absolute():
    assert not relative_imports(ALL_SOURCES)
    assert relative_imports(planted("from . import rle"))
    assert relative_imports(planted("from ..segdata.rle import rle"))


def test_every_room_says_what_it_is_and_where_to_start():
    rooms = [source for source in INSIDE if source.path.endswith("/__init__.py")]
    assert len(rooms) > 20
    for source in rooms:
        text = ast.get_docstring(source.tree) or ""
        assert len(text.splitlines()) >= 3, source.path
        if not source.path.endswith("models/__init__.py"):
            assert "Start at" in text, source.path
        named = re.findall(r"`(\w+\.py)`", text)
        missing = [n for n in named if not (ROOT / source.path).with_name(n).exists()]
        assert not missing, (source.path, missing)


def test_functions_on_the_walk_of_a_record_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    steps = re.findall(r"^\| \d+ \| `([\w/.]+)` `(\w+)` \|", text, re.MULTILINE)
    assert len(steps) > 20
    by_path = {source.path: source for source in SOURCES}
    for path, name in steps:
        defined = {f.name for f in functions(by_path[f"segdata/{path}"])}
        assert name in defined, (path, name)


def test_public_names_have_docstrings():
    assert not undocumented(SOURCES)


def test_missing_docstring_is_seen():
    text = '"""Text."""\nclass A:\n    """Text."""\n    def b(self): pass\n'
    assert undocumented(planted(text)) == ["segdata.masks.planted.A.b"]
    assert not undocumented(planted(text.replace("def b", "def _b")))


def test_every_promised_name_is_what_its_module_defines():
    assert sorted(segdata._LAZY) == sorted(set(segdata.__all__) - {"__version__"})
    assert dir(segdata) == sorted(segdata.__all__)
    for name, module in segdata._LAZY.items():
        home = importlib.import_module(module)
        assert getattr(segdata, name) is getattr(home, name, home)


def test_public_names_stay_what_they_are_when_modules_are_imported():
    """A module of a promised name would take the name's place when it is imported."""
    slow = ("__main__", "pipelines", "streams", "trainers")
    names = ", ".join(source.name for source in SOURCES if source.room not in slow)
    promised = [n for n, home in segdata._LAZY.items() if room_of(home) not in slow]
    code = (
        f"import {names}\n"
        "import segdata\n"
        f"print(*(n for n in {promised} if callable(getattr(segdata, n))))\n"
        "print(segdata.rle([[0, 0, 2, 0, 2, 1, 0, 1]], 1, 2))\n"
    )
    public, runs = run_python(code).splitlines()
    assert {*promised} - {*public.split()} == {"hosts"}
    assert runs == "[0 2]"


def test_name_that_is_not_promised_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'segdata' has no attribute 'read_all'"):
        _ = segdata.read_all


def test_library_prints_only_progress():
    assert not prints(SOURCES)
    assert prints(planted("print('x')"))


def test_feature_keys_are_written_in_one_place():
    assert not keys_outside_the_schema(SOURCES)
    keys = {feature.key for feature in schema.ALL_FEATURES}
    [source] = [s for s in SOURCES if s.path == "segdata/records/schema.py"]
    assert keys <= set(source.strings)


@pytest.mark.parametrize("text", ["'image/encoded'", "f'image/{x}'", "b'segdata/key'"])
def test_feature_key_outside_the_schema_is_seen(text):
    assert keys_outside_the_schema(planted(f"x = 1\ny = {text}"))
