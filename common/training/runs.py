"""One training: which preset, scale and seed, and where its files lie."""

import dataclasses
from pathlib import Path

from common.files import results_dir

PART_FIELDS = frozenset(
    {"steps", "learning_rate", "phases"}
)  # of a config, which each part of a training has its own of
PRECISIONS = ("float32", "bfloat16")  # of the layers' arithmetic; weights are float32


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: which preset, at which scale, with which seed, and how long it may take this time."""

    paper: str
    preset: str
    scale: str
    seed: int = 0
    minutes: float | None = None
    resume: bool = False
    restart: bool = False
    devices: str | None = None  # how many share each batch: a number, `all`, or one as without
    part: str = ""  # of a training that has several parts, each with a checkpoint of its own
    before: int = 0  # steps of the parts before this one
    precision: str | None = None  # one of PRECISIONS; where nothing else is said, the faster one here

    @property
    def name(self) -> str:
        """The run's place below results/models and results/runs."""
        return f"{self.scale}/{self.paper}/{self.preset}/seed{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The resumable state: float32 weights, optimizer, step, config. Not shipped."""
        name = "_".join(filter(None, ("checkpoint", self.part)))
        return results_dir() / "runs" / self.name / f"{name}.npz"

    @property
    def log(self) -> Path:
        """The rows of the log as they come, as csv. Not shipped."""
        return self.checkpoint.with_name(f"{'_'.join(filter(None, ('log', self.part)))}.csv")

    @property
    def shipped(self) -> Path:
        """The folder of weights.safetensors, run.json and log.csv."""
        base = results_dir() / ("smoke/models" if self.scale == "smoke" else "models")
        return base / self.name
