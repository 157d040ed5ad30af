"""setup.cfg, the pinned environments, the Makefile and the CI agree with each other and with what is on the disk."""
from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("common", "experiments", "papers")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))
PINNED = sorted((ROOT / "docker").glob("requirements-*.txt"))
PYTHONS = {
    "tfc": ("39", "310", "311"),
    "keras3": ("311", "312", "313"),
    "keras3-jax": ("311", "312", "313"),
    "keras3-torch": ("311", "312", "313"),
    "keras3-jax-cuda12": ("312",),
}
FRAMEWORKS = {"tensorflow-compression", "tensorflow", "tensorflow-cpu", "jax", "torch"}
PACKAGE_OF = {"cv2": "opencv-python-headless", "PIL": "pillow", "skimage": "scikit-image"}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def setup_cfg() -> configparser.ConfigParser:
    """Return setup.cfg as pip's build backend reads it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def setup_lines(section: str, option: str) -> list[str]:
    """Return the lines of a list in setup.cfg."""
    return [line for line in setup_cfg()[section][option].split("\n") if line]


def pins(path: Path) -> dict[str, str]:
    """Return name (as PyPI normalises it) and version of what a requirement file pins."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), path.name
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def normal(name: str) -> str:
    """Return a package's name with one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def stack_and_python(path: Path) -> tuple[str, str]:
    """Return ("keras3-jax", "311") for docker/requirements-keras3-jax-py311.txt."""
    stack, python = path.stem[len("requirements-") :].rsplit("-py", 1)
    return stack, python


def make(*arguments: str, makefile_of: Path = ROOT) -> subprocess.CompletedProcess:
    """Run make without what an outer make would hand down."""
    outer = ("ARGS", "KERAS3_PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON")
    inherited = {key: value for key, value in os.environ.items() if key not in outer}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=makefile_of, env=inherited, capture_output=True, text=True, timeout=60)


def fake_python(folder: Path, version: str) -> Path:
    """Write a Python that only knows its version, as the Makefile asks for it."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def copied(folder: Path) -> Path:
    """Return a folder with the Makefile and the requirement files, and no environment."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "docker").mkdir()
    for path in PINNED:
        shutil.copy(path, folder / "docker")
    return folder


def imports(path: Path) -> set[str]:
    """Return the top-level names that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names}


def test_the_packages_of_setup_cfg_are_the_packages_on_disk():
    files = [path for top in TOPS for path in (ROOT / top).rglob("__init__.py")]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in files}
    assert sorted(found) == setup_lines("options", "packages")


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for top in TOPS for path in (ROOT / top).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 does not list its own modules")
def test_every_package_that_the_sources_import_is_declared():
    declared = setup_lines("options", "install_requires")
    for extra in ("fast", "jax", "torch"):
        declared += setup_lines("options.extras_require", extra)
    imported = {name for top in TOPS for path in (ROOT / top).rglob("*.py") for name in imports(path)}
    foreign = imported - {*TOPS, *sys.stdlib_module_names}
    packages = {normal(PACKAGE_OF.get(name, name)) for name in foreign}
    assert packages - {normal(Requirement(line).name) for line in declared} == set()


def test_the_published_tables_are_package_data():
    pattern = setup_cfg()["options.package_data"]["*"].strip()
    published = set((ROOT / "papers").rglob("*.csv"))
    assert published and published == set((ROOT / "papers").glob(f"*/{pattern}"))


def test_the_console_script_names_a_function():
    (script,) = setup_lines("options.entry_points", "console_scripts")
    module, function = re.fullmatch(r"relic = ([\w.]+):(\w+)", script).groups()
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_environment_has_its_requirement_file():
    expected = [(stack, python) for stack, pythons in PYTHONS.items() for python in pythons]
    assert sorted(map(stack_and_python, PINNED)) == sorted(expected)


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_a_requirement_file_meets_setup_cfg(path):
    stack, python = stack_and_python(path)
    pinned, version = pins(path), f"{python[0]}.{python[1:]}"
    is_default = stack == ("tfc" if int(python[1:]) < 12 else "keras3")
    extra = {"keras3-jax": "jax", "keras3-torch": "torch", "keras3-jax-cuda12": "cuda12"}.get(stack)
    lines = setup_lines("options", "install_requires") + setup_lines("options.extras_require", "dev")
    lines += setup_lines("options.extras_require", extra) if extra else []
    linux = {"python_version": version, "sys_platform": "linux", "platform_machine": "x86_64"}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or (is_default and requirement.marker.evaluate(linux)):
            assert pinned[normal(requirement.name)] in requirement.specifier, f"{path.name}: {requirement}"


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_a_stack_has_its_own_frameworks_and_no_other(path):
    stack, _ = stack_and_python(path)
    own = {"tfc": {"tensorflow", "tensorflow-compression"}, "keras3": {"tensorflow-cpu"}, "keras3-torch": {"torch"}}
    assert FRAMEWORKS & set(pins(path)) == own.get(stack, {"jax"})


@pytest.mark.parametrize("name", ["constriction", "opencv-python-headless"])
def test_what_decides_bytes_has_one_version_everywhere(name):
    assert len({pins(path)[name] for path in PINNED}) == 1


@needs_make
def test_every_experiment_is_a_target_of_make():
    shown = make("-n", *EXPERIMENTS, "ARGS=--scale smoke")
    assert shown.returncode == 0
    assert re.findall(r"python -m experiments\.(\w+) --scale smoke$", shown.stdout, re.MULTILINE) == EXPERIMENTS


@needs_make
def test_make_alone_lists_every_target_and_every_experiment():
    listed = set(re.findall(r"^  ([\w-]+) ", make().stdout, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*) \$\(EXPERIMENTS\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert listed == {*phony.split(), *EXPERIMENTS}


@needs_make
@pytest.mark.parametrize(
    "version, target",
    [
        ("py38", "setup"),
        ("py38", "test"),
        ("py314", "table4_cheng"),
        ("py314", "setup-jax"),
        ("py27", "setup-keras3"),
        ("", "setup"),
    ],
)
def test_an_unsuitable_python_is_refused_with_one_sentence(tmp_path, version, target):
    refused = make(target, f"PYTHON={fake_python(tmp_path, version)}")
    sentence, *rest = refused.stderr.splitlines()
    assert refused.returncode != 0 and sentence.startswith("error: RELIC needs Python 3.9 to 3.13")
    assert all(line.startswith("make: ***") for line in rest)


@needs_make
@pytest.mark.parametrize("version", ["py39", "py310", "py311", "py312", "py313"])
def test_an_environment_is_made_from_the_requirement_file_of_its_python(tmp_path, version):
    shown = make("-n", "setup", f"PYTHON={fake_python(tmp_path, version)}", makefile_of=copied(tmp_path)).stdout
    stack = "tfc" if version in ("py39", "py310", "py311") else "keras3"
    assert f"-r docker/requirements-{stack}-{version}.txt" in shown


@needs_make
def test_a_half_made_environment_and_an_outdated_one_are_made_anew(tmp_path):
    folder = copied(tmp_path)
    python = f"PYTHON={fake_python(tmp_path, 'py311')}"
    ready, requirements = folder / ".venv/ready-tfc-py311", folder / "docker/requirements-tfc-py311.txt"
    ready.parent.mkdir()
    assert "-m venv --clear .venv" in make("-n", "setup", python, makefile_of=folder).stdout
    ready.touch()
    os.utime(requirements, (0, 0))
    assert "-m venv" not in make("-n", "setup", python, makefile_of=folder).stdout
    os.utime(requirements)
    os.utime(ready, (1, 1))
    assert "-m venv --clear .venv" in make("-n", "setup", python, makefile_of=folder).stdout


@needs_make
@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml", "CONTRIBUTING.md", "README.md"])
def test_the_targets_of_make_that_a_file_names_exist(path):
    named = sorted(set(re.findall(r"(?:^ *|`|- |step )make ([a-z][\w-]+)", (ROOT / path).read_text(), re.MULTILINE)))
    assert named and make("-n", *named).returncode == 0, named


@pytest.mark.parametrize("path", sorted((ROOT / "docker").glob("Dockerfile.*")), ids=lambda path: path.name)
def test_a_dockerfile_names_files_that_exist(path):
    named = re.findall(r"docker/requirements-[\w-]+\.txt", path.read_text())
    assert named and [name for name in named if not (ROOT / name).exists()] == []
