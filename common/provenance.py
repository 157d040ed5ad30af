"""What a result says of the program that made it: commit, command, versions, machine."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGE = "relic-compression"


def provenance() -> dict[str, Any]:
    """Return commit, dirty flag, command, versions, machine and device of the running program.

    Outside a checkout the commit is the package's name and version. Without git it is "unknown", and what is not known
    to be changed is None: never an error.
    """
    from common import backend

    commit, is_changed = _commit()
    return {
        "command": _command(),
        "commit": commit,
        "dirty": is_changed,
        "stack": backend.STACK,
        "backend": backend.BACKEND,
        "python": platform.python_version(),
        "versions": backend.versions(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": backend.device(),
    }


def _command() -> str:
    """Return the command line as a shell takes it; bytes of names that are not UTF-8 are shown with backslashes."""
    line = " ".join([module_command(), *map(shlex.quote, sys.argv[1:])])
    return os.fsencode(line).decode(errors="backslashreplace")


def module_command() -> str:
    """Return how the running program is started, without its arguments."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec:
        return f"python -m {spec.name.removesuffix('.__main__')}"
    script = Path(sys.argv[0])
    if script.suffix == ".py":
        return shlex.join(["python", str(script)])
    return "python" if script.name in ("", "-", "-c") else script.name  # an installed command, as `relic`


def _commit() -> tuple[str, bool | None]:
    """Return the commit of these sources and whether their files differ from it."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # perhaps below somebody else's checkout, whose commit says nothing
        return _package(), None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return _git(root, "rev-parse", "HEAD") or "unknown", None if changes is None else bool(changes)


def _package() -> str:
    try:
        return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, None where there is no git or it fails."""
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, errors="replace")
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
