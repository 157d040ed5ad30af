"""Which Keras stack this environment has, found without importing it, and silence while it starts."""

import importlib.util
import os
import tempfile
from typing import Any

from common.config import is_whole_number
from common.errors import RelicError

KERAS3_BACKENDS = ("tensorflow", "jax", "torch")


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def choose_stack() -> str:
    """Return the stack that `RELIC_STACK` names or, without it, the one that is installed."""
    wanted = os.environ.get("RELIC_STACK", "")
    if wanted not in ("", "tfc", "keras3"):
        raise RelicError(f"RELIC_STACK={wanted!r} is not a stack: set it to tfc or keras3, or leave it unset")
    stack = wanted or ("tfc" if installed("tensorflow_compression") else "keras3")
    if stack == "tfc" and not installed("tensorflow_compression"):
        raise RelicError("stack tfc needs tensorflow-compression 2.14.1 (Python 3.11): run `make setup`")
    if stack == "keras3" and not installed("keras"):
        raise RelicError("no Keras is installed: run `make setup`, or `make setup-jax` for Keras on jax")
    return stack


def choose_keras3_backend() -> str:
    """Return the backend of Keras 3: `KERAS_BACKEND`, else the first of tensorflow, jax, torch that is installed."""
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted and wanted not in KERAS3_BACKENDS:
        raise RelicError(f"KERAS_BACKEND={wanted} cannot train: set it to {', '.join(KERAS3_BACKENDS)}, or unset it")
    if wanted and not installed(wanted):
        raise RelicError(f"KERAS_BACKEND={wanted} but {wanted} is not installed: install it or unset KERAS_BACKEND")
    backend = wanted or next((name for name in KERAS3_BACKENDS if installed(name)), None)
    if backend is None:
        raise RelicError("stack keras3 needs tensorflow, jax or torch: run `make setup-keras3` or `make setup-jax`")
    return backend


def cpu_devices() -> int:
    """Return how many devices the CPU counts as, `RELIC_CPU_DEVICES`: 1, or more to try `--devices` without GPUs."""
    wanted = os.environ.get("RELIC_CPU_DEVICES") or "1"
    if not is_whole_number(wanted) or int(wanted) < 1:
        raise RelicError(f"RELIC_CPU_DEVICES={wanted} is not a number of devices: set it to 1 or more, or unset it")
    return int(wanted)


def cpu_flags() -> list[str]:
    """Return the instruction sets of this CPU by Linux' names, none where they are not known."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return []


def onednn_is_faster(stack: str) -> bool:
    """Return whether TensorFlow's oneDNN kernels are faster than its own.

    Measured in float32 on two cores with 3x3 convolutions of 128 channels: TensorFlow 2.14 with oneDNN is 1.2 to 1.5
    times as fast with and without AVX-512; TensorFlow 2.21 1.6 times as fast with it, and 3 times slower without.
    """
    return stack == "tfc" or "avx512f" in cpu_flags()


class QuietStderr:
    """Send what native code writes to stderr while importing to a buffer, shown only when the import fails."""

    def __enter__(self) -> "QuietStderr":
        self.saved, self.buffer = os.dup(2), tempfile.TemporaryFile()
        os.dup2(self.buffer.fileno(), 2)
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        os.dup2(self.saved, 2)
        os.close(self.saved)
        if kind is not None:
            self.buffer.seek(0)
            os.write(2, self.buffer.read())
        self.buffer.close()
