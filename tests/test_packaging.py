"""setup.cfg, the pinned environments, the Makefile and the CI agree with each other and with what is on the disk."""

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("common", "experiments", "papers")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))
PINNED = sorted((ROOT / "docker").glob("requirements-*.txt"))
SUPPORTED = ("3.11", "3.12", "3.13")
PYTHONS = {
    "tfc": ("3.11",),
    "tfc-cluster": ("3.11",),
    "keras3": SUPPORTED,
    "keras3-cluster": ("3.12", "3.13"),
    "keras3-jax": SUPPORTED,
    "keras3-torch": SUPPORTED,
    "keras3-cuda12": ("3.12",),
    "keras3-jax-cuda12": ("3.12",),
}
ENVIRONMENTS = [(stack, python) for stack, pythons in PYTHONS.items() for python in pythons]
MOST_BYTES = 180 * 10**6  # of all files that a clone holds
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


def pins(stack: str, python: str) -> dict[str, str]:
    """Return the versions that a stack's requirement file pins for a Python, by normalised name."""
    lines = [line for line in requirement_file(stack).read_text().splitlines() if not line.startswith("#")]
    found = {}
    for requirement in map(Requirement, lines):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and not requirement.url and not requirement.extras, requirement
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert normal(requirement.name) not in found, f"{requirement.name} twice for Python {python}"
            found[normal(requirement.name)] = specifier.version
    return found


def requirement_file(stack: str) -> Path:
    """Return the file that pins a stack."""
    return ROOT / f"docker/requirements-{stack}.txt"


def normal(name: str) -> str:
    """Return a package's name with one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def make(*arguments: str, makefile_of: Path = ROOT) -> subprocess.CompletedProcess:
    """Run make without what an outer make would hand down."""
    outer = ("ARGS", "KERAS3_PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "WORKERS")
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


def test_every_package_that_the_sources_import_is_declared():
    declared = setup_lines("options", "install_requires")
    for extra in ("fast", "jax", "torch"):
        declared += setup_lines("options.extras_require", extra)
    imported = {name for top in TOPS for path in (ROOT / top).rglob("*.py") for name in imports(path)}
    foreign = imported - {*TOPS, *sys.stdlib_module_names}
    packages = {normal(PACKAGE_OF.get(name, name)) for name in foreign}
    assert packages - {normal(Requirement(line).name) for line in declared} == set()


def test_an_own_common_py_in_the_working_directory_is_not_taken_for_the_package(tmp_path):
    (tmp_path / "common.py").write_text("x = 1\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    assert run("import papers, experiments; print('here')").stdout == "here\n"
    said = run("import common, papers").stderr
    assert f"{tmp_path}/common.py was imported as `common` before RELIC's package of that name: rename it" in said


def test_the_published_tables_are_package_data():
    pattern = setup_cfg()["options.package_data"]["*"].strip()
    published = set((ROOT / "papers").rglob("*.csv"))
    assert published and published == set((ROOT / "papers").glob(f"*/{pattern}"))


def test_the_console_script_names_a_function():
    (script,) = setup_lines("options.entry_points", "console_scripts")
    module, function = re.fullmatch(r"relic = ([\w.]+):(\w+)", script).groups()
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_the_supported_pythons_are_the_same_everywhere():
    classifiers = setup_lines("metadata", "classifiers")
    assert tuple(re.findall(r":: (3\.\d+)", "\n".join(classifiers))) == SUPPORTED
    assert setup_cfg()["options"]["python_requires"] == ">=3.11,<3.14"
    assert f"PYTHONS := {' '.join(SUPPORTED)}\n" in (ROOT / "Makefile").read_text()
    assert f"python: {list(SUPPORTED)}".replace("'", '"') in (ROOT / ".github/workflows/ci.yml").read_text()
    for document in ("README.md", "CONTRIBUTING.md"):
        assert "Python 3.11 to 3.13" in (ROOT / document).read_text()
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert ruff["target-version"] == "py311" and ruff["line-length"] == 120


def test_every_environment_has_its_requirement_file_and_each_says_how_it_was_made():
    assert sorted(PINNED) == sorted(map(requirement_file, PYTHONS))
    for stack, pythons in PYTHONS.items():
        command = " ".join(["python docker/pin.py", stack, *(f"python{python}" for python in pythons)])
        assert requirement_file(stack).read_text().startswith(f"# Made by `{command}` from setup.cfg; do not edit.\n")


@pytest.mark.parametrize(("stack", "python"), ENVIRONMENTS)
def test_a_requirement_file_meets_setup_cfg(stack, python):
    pinned = pins(stack, python)
    is_default = stack.removesuffix("-cluster") == ("tfc" if python == "3.11" else "keras3")
    lines = setup_lines("options", "install_requires") + setup_lines("options.extras_require", "dev")
    for extra in pin_module().STACKS[stack][1]:
        lines += setup_lines("options.extras_require", extra)
    linux = {"python_version": python, "sys_platform": "linux", "platform_machine": "x86_64"}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or (is_default and requirement.marker.evaluate(linux)):
            assert pinned[normal(requirement.name)] in requirement.specifier, f"{stack}, {python}: {requirement}"


@pytest.mark.parametrize(("stack", "python"), ENVIRONMENTS)
def test_a_stack_has_its_own_frameworks_and_no_other(stack, python):
    own = {"tfc": {"tensorflow", "tensorflow-compression"}, "keras3": {"tensorflow-cpu"}, "keras3-torch": {"torch"}}
    own["keras3-cuda12"] = {"tensorflow"}
    assert FRAMEWORKS & set(pins(stack, python)) == own.get(stack.removesuffix("-cluster"), {"jax"})


@pytest.mark.parametrize("name", ["constriction", "opencv-python-headless", "ruff", "mypy"])
def test_what_decides_bytes_and_what_checks_the_sources_has_one_version_everywhere(name):
    assert len({pins(*environment)[name] for environment in ENVIRONMENTS}) == 1


def test_pins_that_differ_between_pythons_carry_markers():
    resolved = {
        "3.11": {"numpy": "2.4", "Six": "1.17", "tomli": "2.0"},
        "3.12": {"numpy": "2.5", "Six": "1.17"},
        "3.13": {"numpy": "2.5", "Six": "1.17"},
    }
    assert pin_module().merge(resolved) == [
        'numpy==2.4; python_version == "3.11"',
        'numpy==2.5; python_version == "3.12" or python_version == "3.13"',
        "Six==1.17",
        'tomli==2.0; python_version == "3.11"',
    ]


def pin_module() -> ModuleType:
    """Return docker/pin.py, which is no package."""
    spec = importlib.util.spec_from_file_location("pin", ROOT / "docker/pin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_make
@pytest.mark.parametrize("tool", ["ruff", "mypy"])
def test_before_a_commit_the_tools_of_the_environment_run_as_make_lint_runs_them(tool):
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    linted = set(re.findall(rf"-m {tool}( check| format|$)", make("-n", "lint").stdout, re.MULTILINE))
    assert linted and set(re.findall(r"repo: (\S+)", hooks)) == {"local"}
    assert {kind for kind in linted if f"entry: .venv/bin/python -m {tool}{kind}" in hooks} == linted


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a clone")
def test_a_clone_is_small_and_no_figure_is_stored_twice():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert [path.name for path in files if path.suffix == ".svg"] == []


@needs_make
def test_every_experiment_is_a_target_of_make():
    shown = make("-n", *EXPERIMENTS, "ARGS=--scale smoke")
    assert shown.returncode == 0
    assert re.findall(r"python -m experiments\.(\w+) --scale smoke$", shown.stdout, re.MULTILINE) == EXPERIMENTS


@needs_make
def test_make_alone_lists_every_target_and_every_experiment():
    listed = set(re.findall(r"^  ([\w-]+) ", make().stdout, re.MULTILINE))
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert listed == {*phony.split(), *EXPERIMENTS} - {"$(EXPERIMENTS)", "refused"}


@needs_make
@pytest.mark.parametrize(
    "version, target",
    [
        ("3.10", "setup"),
        ("3.10", "test"),
        ("3.14", "table4_cheng"),
        ("3.14", "setup-jax"),
        ("2.7", "setup-keras3"),
        ("", "setup"),
    ],
)
def test_an_unsuitable_python_is_refused_with_one_sentence(tmp_path, version, target):
    refused = make(target, f"PYTHON={fake_python(tmp_path, version)}")
    sentence, *rest = refused.stderr.splitlines()
    assert refused.returncode != 0 and sentence.startswith("error: RELIC needs Python 3.11 to 3.13")
    assert all(line.startswith("make: ***") for line in rest)


@needs_make
@pytest.mark.parametrize("python", SUPPORTED)
@pytest.mark.parametrize("target", ["setup", "setup-keras3", "setup-jax", "setup-torch"])
def test_an_environment_is_made_from_the_requirement_file_of_its_stack(tmp_path, target, python):
    shown = make("-n", target, f"PYTHON={fake_python(tmp_path, python)}", makefile_of=copied(tmp_path)).stdout
    default = "tfc" if python == "3.11" else "keras3"
    stack = {"setup": default, "setup-keras3": "keras3"}.get(target, target.replace("setup", "keras3"))
    assert f"-r docker/requirements-{stack}.txt" in shown and shown.count("-m venv") == 1


@needs_make
def test_a_half_made_environment_and_an_outdated_one_are_made_anew(tmp_path):
    folder = copied(tmp_path)
    python = f"PYTHON={fake_python(tmp_path, '3.11')}"
    ready, requirements = folder / ".venv/ready-tfc-3.11", folder / "docker/requirements-tfc.txt"
    ready.parent.mkdir()
    assert "-m venv --clear .venv" in make("-n", "setup", python, makefile_of=folder).stdout
    ready.touch()
    os.utime(requirements, (0, 0))
    assert "-m venv" not in make("-n", "setup", python, makefile_of=folder).stdout
    os.utime(requirements)
    os.utime(ready, (1, 1))
    assert "-m venv --clear .venv" in make("-n", "setup", python, makefile_of=folder).stdout


@needs_make
def test_the_quick_tests_leave_out_the_slow_ones_and_workers_share_them():
    quick = '-m pytest -n 2 --dist loadfile -m "not slow and not regression and not devices and not cluster" -x'
    assert quick in make("-n", "test-quick", "ARGS=-x").stdout
    assert "-m pytest -n 0" in make("-n", "test", "WORKERS=0").stdout


@needs_make
@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml", "CONTRIBUTING.md", "README.md"])
def test_the_targets_of_make_that_a_file_names_exist(path):
    named = sorted(set(re.findall(r"(?:^ *|`|- |step )make ([a-z][\w-]+)", (ROOT / path).read_text(), re.MULTILINE)))
    assert named and make("-n", *named).returncode == 0, named


def test_the_experiments_that_a_change_re_runs_exist():
    _, rest = (ROOT / "CONTRIBUTING.md").read_text().split("## What a change re-runs\n")
    named = set(re.findall(r"`(\w+_\w+)`", rest.split("\n## ")[0]))
    assert len(named) > 10 and named <= set(EXPERIMENTS)


@pytest.mark.parametrize("path", sorted((ROOT / "docker").glob("Dockerfile.*")), ids=lambda path: path.name)
def test_a_dockerfile_names_files_that_exist(path):
    named = re.findall(r"docker/requirements-[\w-]+\.txt", path.read_text())
    assert named and [name for name in named if not (ROOT / name).exists()] == []
