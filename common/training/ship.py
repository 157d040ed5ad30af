"""What a finished training leaves: weights, run.json and log.csv."""

import csv
import dataclasses
import io
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.files import atomic_file, write_json
from common.provenance import provenance
from common.training.runs import Run

NO_ROWS = [{"step": 0, "loss": 0.0}]


def ship(
    run: Run,
    config: Any,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    integers: Mapping[str, Any] | None = None,
) -> None:
    """Write a finished training to the run's folder: weights rounded to float16 with integers, run.json and log.csv.

    about: `steps`, `training_seconds`, `data` (digest of each training set) and `log` (rows).
    """
    from common.training import weights

    log = log_csv(about["log"])
    preset = f"{run.paper}/{run.preset}"
    digest = weights.save(run.shipped / "weights.safetensors", preset, config, arrays, integers or {})
    fields = {"preset": preset, "scale": run.scale, "seed": run.seed, "weights_sha256": digest}
    fields["shipped"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    fields.update({key: value for key, value in about.items() if key != "log"})
    write_json(run.shipped / "run.json", {**fields, **provenance(), "config": dataclasses.asdict(config)})
    with atomic_file(run.shipped / "log.csv") as file:
        file.write(log.encode())


def log_csv(log: list[dict]) -> str:
    """Return log rows as csv text, with the columns of all rows, seconds last."""
    text = io.StringIO()
    names = [name for name in dict.fromkeys(n for row in log or NO_ROWS for n in row) if name != "seconds"]
    names.append("seconds")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in log)
    return text.getvalue()
