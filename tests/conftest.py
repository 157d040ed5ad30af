"""What all tests share: golden files, and one sentence instead of tracebacks where no Keras stack is installed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import RelicError

GOLDEN = Path(__file__).parent / "golden"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for tests that import tensorflow before common.backend
if "PYTEST_XDIST_WORKER" in os.environ:  # of several processes, as with `pytest -n 2`, each keeps one processor busy
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


pytest.register_assert_rewrite("codec_contract")  # for it to say what differs, as a test module does


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites golden files."""
    parser.addoption("--update-golden", action="store_true", help="write what is measured to tests/golden")


def pytest_exception_interact(node: Any, call: pytest.CallInfo) -> None:
    """Stop with one sentence where a test module cannot be imported for want of a stack."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(node, pytest.Collector) and isinstance(error, RelicError):
        pytest.exit(f"error: {error}", returncode=1)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], Any]:
    """Return `golden(name, measured)`: the stored value of tests/golden/<name>.json, to compare within a tolerance.

    With --update-golden the measured value (anything json can hold) is stored first. A missing file fails the test.
    """

    def stored(name: str, measured: Any) -> Any:
        path = GOLDEN / f"{name}.json"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
        if not path.exists():
            pytest.fail(f"no tests/golden/{name}.json: run pytest --update-golden and commit it", pytrace=False)
        return json.loads(path.read_text())

    return stored
