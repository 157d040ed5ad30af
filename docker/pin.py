"""Resolve one stack's dependencies from setup.cfg in a fresh environment and pin them all.

    python docker/pin.py tfc python3.11              # writes docker/requirements-tfc-py311.txt
    python docker/pin.py keras3-jax python3.12       # any stack with any Python that it supports; a minute or two
"""
from __future__ import annotations

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
    "keras3": ("3.12", ()),
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


def resolve(wanted: list[str], python: str) -> tuple[str, list[str]]:
    """Return the version digits of a Python ("311") and the pins that pip finds with it, from nothing installed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        report = f"{folder}/report.json"
        subprocess.run([*pip, "--dry-run", "--ignore-installed", "--report", report, *wanted], check=True)
        found = json.loads(Path(report).read_text())
    pins = [f"{item['metadata']['name']}=={item['metadata']['version']}" for item in found["install"]]
    return found["environment"]["python_version"].replace(".", ""), sorted(pins, key=str.lower)


def main() -> None:
    """Write the requirement file of the stack and the Python that the command line names."""
    parser = argparse.ArgumentParser(description="pin the dependencies of one stack for one Python")
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("python", help="a Python of the wanted version: python3.11")
    arguments = parser.parse_args()
    version, pins = resolve(requirements(arguments.stack), arguments.python)
    name = f"requirements-{arguments.stack}-py{version}.txt"
    command = f"python docker/pin.py {arguments.stack} python{version[0]}.{version[1:]}"
    header = f"# Made by `{command}` from setup.cfg; do not edit."
    (ROOT / "docker" / name).write_text("\n".join([header, *pins]) + "\n")
    print(f"docker/{name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
