"""Resolve one stack's dependencies from setup.cfg in fresh environments and pin them all in one file for all Pythons.

    python docker/pin.py tfc python3.11                                  # writes docker/requirements-tfc.txt
    python docker/pin.py keras3-jax python3.11 python3.12 python3.13     # a minute or two for each Python

Every version may move. `PIP_CONSTRAINT=kept.txt` in front, with a copy of the old file, keeps what is named there.
"""

import argparse
import configparser
import json
import subprocess
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# A stack is the dependencies that setup.cfg gives a Python version (none: those of every version) and extras.
STACKS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "tfc": ("3.11", ()),
    "tfc-cluster": ("3.11", ("cluster",)),
    "keras3": ("3.12", ()),
    "keras3-cluster": ("3.12", ("cluster",)),
    "keras3-cuda12": (None, ("tensorflow-cuda12",)),
    "keras3-jax": (None, ("jax",)),
    "keras3-jax-cuda12": (None, ("jax", "cuda12")),
    "keras3-torch": (None, ("torch",)),
}


def requirements(stack: str) -> list[str]:
    """Return the dependencies of a stack as setup.cfg has them, without markers, with those of the extra `dev`."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    python, extras = STACKS[stack]
    lines = setup["options"]["install_requires"].split("\n")
    for extra in (*extras, "dev"):
        lines += setup["options.extras_require"][extra].split("\n")
    kept = []
    for requirement in (Requirement(line) for line in lines if line):
        marker, requirement.marker = requirement.marker, None
        if marker is None or (python and marker.evaluate({"python_version": python})):
            kept.append(str(requirement))
    return kept


def resolve(wanted: list[str], python: str) -> tuple[str, dict[str, str]]:
    """Return the version of a Python ("3.11") and what pip finds with it, name to version, from nothing installed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        report = f"{folder}/report.json"
        subprocess.run([*pip, "--dry-run", "--ignore-installed", "--report", report, *wanted], check=True)
        found = json.loads(Path(report).read_text())
    packages = {item["metadata"]["name"]: item["metadata"]["version"] for item in found["install"]}
    return found["environment"]["python_version"], packages


def merge(resolved: dict[str, dict[str, str]]) -> list[str]:
    """Return the lines that pin what each Python, oldest first, resolved: with a marker where they differ.

    >>> merge({"3.11": {"numpy": "2.4"}, "3.12": {"numpy": "2.5"}, "3.13": {"numpy": "2.5"}})
    ['numpy==2.4; python_version == "3.11"', 'numpy==2.5; python_version == "3.12" or python_version == "3.13"']
    """
    pythons: dict[str, list[str]] = {}
    for python, packages in resolved.items():
        for name, version in packages.items():
            pythons.setdefault(f"{name}=={version}", []).append(python)
    lines = []
    for pin in sorted(pythons, key=str.lower):
        marker = " or ".join(f'python_version == "{python}"' for python in pythons[pin])
        lines.append(pin if len(pythons[pin]) == len(resolved) else f"{pin}; {marker}")
    return lines


def main() -> None:
    """Write the requirement file of the stack for the Pythons that the command line names."""
    parser = argparse.ArgumentParser(description="pin the dependencies of one stack")
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("pythons", nargs="+", metavar="python", help="each that runs the stack, oldest first")
    arguments = parser.parse_args()
    wanted = requirements(arguments.stack)
    resolved = dict(resolve(wanted, python) for python in arguments.pythons)
    name, lines = f"requirements-{arguments.stack}.txt", merge(resolved)
    command = " ".join(["python docker/pin.py", arguments.stack, *(f"python{version}" for version in resolved)])
    header = f"# Made by `{command}` from setup.cfg; do not edit."
    (ROOT / "docker" / name).write_text("\n".join([header, *lines]) + "\n")
    print(f"docker/{name}: {len(lines)} pins")


if __name__ == "__main__":
    main()
