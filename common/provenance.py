"""What a result says of the program that made it: commit, command, versions, machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Return commit, dirty flag, command, versions, machine and device of the running program.

    Without git, or outside a checkout, the commit is "unknown" and whether it was changed None: never an error.
    """
    from common import backend

    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": " ".join([module_command(), *sys.argv[1:]]),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": None if changes is None else bool(changes),
        "stack": backend.STACK,
        "backend": backend.BACKEND,
        "python": platform.python_version(),
        "versions": backend.versions(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": backend.device(),
    }


def module_command() -> str:
    """Return how the running module is started, without its arguments."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return f"python -m {spec.name.removesuffix('.__main__') if spec else Path(sys.argv[0]).stem}"


def _git(*arguments: str) -> str | None:
    """Return what git prints, None where there is no git or it fails."""
    here = Path(__file__).resolve().parent
    try:
        result = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
