"""What a finished training leaves: weights, run.json and log.csv."""

import csv
import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
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
    fields.update({"precision": run.precision} if run.precision else {}, **_summary(about["log"]))
    write_json(run.shipped / "run.json", {**fields, **provenance(), "config": dataclasses.asdict(config)})
    with atomic_file(run.shipped / "log.csv") as file:
        file.write(log.encode())


def log_csv(log: Sequence[Mapping[str, Any]]) -> str:
    """Return log rows as csv text, with the columns of all rows, seconds last."""
    columns = columns_of(log)
    return ",".join(columns) + "\n" + csv_rows(log, columns)


def columns_of(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of all rows of a log, seconds last."""
    return [*(name for name in dict.fromkeys(n for row in log or NO_ROWS for n in row) if name != "seconds"), "seconds"]


def csv_rows(log: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as lines of csv text, without a heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in log)
    return text.getvalue()


def _summary(log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what run.json says of a log as a whole: steps that were skipped, the share of time spent on waiting."""
    said: dict[str, Any] = {}
    if any("skipped" in row for row in log):
        said["skipped"] = sum(row.get("skipped", 0) for row in log)
    share = input_wait(log)
    return said if share is None else {**said, "input_wait": round(share, 4)}


def input_wait(log: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the share of its time that a training waited for the inputs of its steps, None where no row says so."""
    before, waited, total = 0.0, 0.0, 0.0
    for row in log:
        seconds, before = row["seconds"] - before, row["seconds"]
        if "input_wait" in row:
            waited, total = waited + row["input_wait"] * seconds, total + seconds
    return waited / total if total else None
