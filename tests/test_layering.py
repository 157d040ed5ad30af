"""Imports point one way, only two modules know the frameworks, and functions and experiments stay short.

Everything is read from the syntax tree; nothing of the project is imported.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ("common", "experiments", "papers")
FRAMEWORKS = {"jax", "keras", "tensorflow", "tensorflow_compression", "torch"}
FRAMEWORK_DOORS = {"common/backend.py", "common/devices.py"}
JUDGES = ("common.comparison", "common.tables")  # and a paper's own reproduction/
PAPERS_DOORS = {"papers/__init__.py", "papers/__main__.py", "papers/folder.py"}
MAX_FUNCTION, MAX_EXPERIMENT = 60, 60
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")

SOURCES = sorted(path.relative_to(ROOT).as_posix() for folder in PROJECT for path in (ROOT / folder).rglob("*.py"))
ALL_SOURCES = SOURCES + sorted(
    path.relative_to(ROOT).as_posix() for folder in ("tests", "docker") for path in (ROOT / folder).rglob("*.py")
)


def imported(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that a file imports, also inside functions and by import_module."""
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def forbidden(path: str, name: str) -> str | None:
    """Return why a file must not import a name, or None if it may."""
    top, layer = name.split(".")[0], path.split("/")[0]
    if top in FRAMEWORKS and path not in FRAMEWORK_DOORS:
        return "only common/backend.py knows a framework, and common/devices.py those that join devices"
    if top == "tensorflow_datasets" and path != "common/data/prepared.py":
        return "only common/data/prepared.py loads through tensorflow-datasets"
    if top == "experiments" and layer in ("common", "papers"):
        return "experiments see papers, not the other way round"
    if top == "papers" and layer == "common":
        return "common holds no paper"
    own = ".".join(path.split("/")[:2])
    if layer == "papers" and path not in PAPERS_DOORS and path.split("/")[2] != "reproduction":
        if any(f"{name}.".startswith(f"{module}.") for module in (*JUDGES, f"{own}.reproduction")):
            return "a codec does not import what judges it"
    if top == "papers" and layer == "papers" and path not in PAPERS_DOORS:
        if name != own and not name.startswith(own + "."):
            return "a paper imports only itself and common"
    return "the project does not need its tests" if top == "tests" else None


def violations(path: str, source: str) -> list[str]:
    """Return what a source file breaks, one line each."""
    tree = ast.parse(source)
    found = []
    for line, name in imported(path, tree):
        reason = forbidden(path, name)
        if reason:
            found.append(f"{path}:{line}: imports {name}: {reason}")
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, {MAX_FUNCTION} are the most")
    lines = len(source.splitlines())
    if path.startswith("experiments/") and path != "experiments/__main__.py" and lines >= MAX_EXPERIMENT:
        found.append(f"{path}: {lines} lines; an experiment stays under {MAX_EXPERIMENT}")
    return found


def test_the_project_has_sources_to_check():
    assert "common/backend.py" in SOURCES and "experiments/table4_cheng.py" in SOURCES and len(SOURCES) > 20


def test_every_source_file_keeps_to_its_layer_and_to_short_functions():
    assert [broken for path in SOURCES for broken in violations(path, (ROOT / path).read_text())] == []


def test_nothing_is_marked_as_unfinished():
    lines = [(path, line) for path in ALL_SOURCES for line in (ROOT / path).read_text().splitlines()]
    assert [(path, line) for path, line in lines if UNFINISHED.search(line)] == []


@pytest.mark.parametrize(
    "path, source",
    [
        ("common/metrics.py", "from papers.cheng_resnet import config"),
        ("common/metrics.py", "import papers"),
        ("common/tables/command.py", "from experiments import table4_cheng"),
        ("common/metrics.py", "def f():\n    import tensorflow as tf"),
        ("common/metrics.py", "import importlib\nimportlib.import_module('jax')"),
        ("common/metrics.py", "__import__('torch.nn')"),
        ("common/evaluate.py", "import tensorflow_datasets as tfds"),
        ("common/layers.py", "from keras import layers"),
        ("common/layers.py", "from tensorflow.keras import layers"),
        ("papers/cheng_resnet/model.py", "import tensorflow_compression as tfc"),
        ("papers/cheng_resnet/model.py", "from papers.other import model"),
        ("papers/cheng_resnet/model.py", "from papers import other"),
        ("papers/cheng_resnet/model.py", "from ..other import model"),
        ("papers/cheng_resnet/model.py", "from papers.cheng_resnet_too import model"),
        ("papers/cheng_resnet/train.py", "import experiments.table4_cheng"),
        ("papers/cheng_resnet/train.py", "from common import tables"),
        ("papers/cheng_resnet/codec.py", "def f():\n    from common.tables import Options"),
        ("papers/cheng_resnet/codec.py", "from common.comparison.changes import judge"),
        ("papers/cheng_resnet/config.py", "from papers.cheng_resnet import reproduction"),
        ("papers/cheng_resnet/complexity.py", "from papers.cheng_resnet.reproduction.tables8and9 import claims"),
        ("papers/cheng_resnet/complexity.py", "from .reproduction import tables8and9"),
        ("papers/cheng_resnet/reproduction/table1.py", "from papers.other.reproduction import claims"),
        ("papers/__main__.py", "from experiments import table4_cheng"),
        ("papers/cheng_resnet/train.py", "from tests import conftest"),
        ("experiments/table1_x.py", "import jax"),
        ("experiments/table1_x.py", "x = 1\n" * MAX_EXPERIMENT),
        ("common/layers.py", "def f():\n" + "    x = 1\n" * MAX_FUNCTION),
        ("common/layers.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * MAX_FUNCTION),
    ],
)
def test_the_check_itself_finds_a_broken_rule(path, source):
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        ("common/backend.py", "import keras, jax, torch\nimport tensorflow_compression as tfc"),
        ("common/devices.py", "def f():\n    import jax"),
        ("common/data/prepared.py", "def f():\n    import tensorflow_datasets as tfds"),
        ("common/layers.py", "from common.backend import keras, ops\nimport numpy"),
        ("papers/cheng_resnet/model.py", "from papers.cheng_resnet import config\nfrom . import train\nimport common"),
        ("papers/__init__.py", "import importlib\nfrom papers.cheng_resnet import codec"),
        ("papers/cheng_resnet/reproduction/table1.py", "from common import tables\nimport papers.cheng_resnet"),
        ("papers/cheng_resnet/reproduction/claims.py", "from papers.cheng_resnet.reproduction import table1"),
        ("papers/cheng_resnet/codec.py", "from common import tables_of_another_name"),
        ("experiments/table1_x.py", "from common import tables\nfrom papers.cheng_resnet import config"),
        ("experiments/table1_x.py", "x = 1\n" * (MAX_EXPERIMENT - 1)),
        ("experiments/__main__.py", "x = 1\n" * 2 * MAX_EXPERIMENT),
        ("common/layers.py", "def f():\n" + "    x = 1\n" * (MAX_FUNCTION - 1)),
    ],
)
def test_the_check_itself_allows_what_the_rules_allow(path, source):
    assert violations(path, source) == []


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME"])
def test_the_check_itself_finds_an_unfinished_line(word):
    assert UNFINISHED.search(f"x = 1  # {word}: later")
