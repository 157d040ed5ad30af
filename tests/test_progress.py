"""What a training says while it runs: rows that are in a file at once, when it ends, how it compares with others."""

import csv
import dataclasses
import json
import time

import numpy as np
import pytest
from test_schedule import Config

from common.training import shipped
from common.training.log_file import LogFile
from common.training.progress import Progress, expected_end
from common.training.runs import Run
from common.training.ship import columns_of, csv_rows, input_wait, log_csv

CONFIG = Config(steps=1000)


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    return tmp_path


def row(step, loss, **others):
    return {"step": step, "loss": loss, **others, "input_wait": 0.01, "skipped": 0, "seconds": step / 10}


def ship(seed, losses, config=CONFIG, scale="small"):
    """Ship a training whose rows are 100 steps apart."""
    folder = Run("paper", "preset", scale, seed).shipped
    folder.mkdir(parents=True)
    about = {"config": dataclasses.asdict(config), "steps": 1000, "training_seconds": 1.0, "weights_sha256": "ab"}
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "log.csv").write_text(log_csv([row(100 * (i + 1), loss) for i, loss in enumerate(losses)]))


def said(capsys, *rows, first=0, config=CONFIG, **of_run):
    """Return what a training with seed 0 says of its rows, beside its progress line."""
    progress = Progress(Run("paper", "preset", "small", 0, **of_run), config, ["loss"], first)
    for each in rows:
        progress.show(each)
    progress.close(rows)
    return capsys.readouterr().err.splitlines()


# --- the reference -------------------------------------------------------------------------------------------------


def test_a_loss_is_compared_with_the_mean_and_the_spread_of_other_seeds_between_their_rows(capsys):
    ship(1, np.linspace(10, 1, 10))
    ship(2, np.linspace(10.2, 1.2, 10))
    ship(0, np.zeros(10))  # of the seed itself
    (line,) = said(capsys, row(50, 9.0), row(150, 9.6))
    assert line == f"step 150: loss 9.6, reference 9.6 ± {np.std([9.5, 9.7], ddof=1):.2g} (2 seeds): on track"
    (line,) = said(capsys, row(150, 20.0))
    assert line.endswith("(2 seeds): 73.5 times the spread above it")  # 10.4 above, sqrt(0.02) the spread


def test_one_seed_is_compared_with_by_its_rows_around(capsys):
    losses = np.array([8, 7, 6, 5.5, 5.2, 5, 4.9, 4.8, 4.7, 4.6])
    ship(1, losses)
    (line,) = said(capsys, row(500, 5.3))
    spread = np.std(losses[2:7], ddof=1)
    assert line == f"step 500: loss 5.3, reference 5.2 ± {spread:.2g} (seed 1, 5 rows around): on track"


def test_there_are_ten_comparisons_from_where_a_training_begins(capsys):
    ship(1, np.linspace(10, 1, 10))
    rows = [row(step, 5.0) for step in range(50, 1001, 50)]
    assert [line.split(":")[0] for line in said(capsys, *rows)] == [
        *(f"step {step}" for step in range(100, 1000, 100)), "step 1,000",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in said(capsys, *rows[15:], first=750)] == [
        "step 800",
        "step 900",
        "step 1,000",
    ]
    (line,) = said(capsys, row(100, np.nan), row(150, 9.0))  # a row whose steps were all skipped
    assert line.startswith("step 150")


def test_a_part_of_a_training_is_compared_at_the_step_of_the_whole(capsys):
    ship(1, np.linspace(10, 1, 10))
    (line,) = said(capsys, row(100, 3.0), config=Config(steps=300), part="second", before=700)
    assert line.startswith("step 800: loss 3, reference 3 ±")


def test_there_is_nothing_to_compare_with_another_config_scale_or_what_cannot_be_read(capsys, results):
    ship(1, [1.0], config=Config(steps=1000, rate=0.25))
    ship(2, [1.0], scale="medium")
    ship(3, [1.0])
    ship(4, [1.0])
    (Run("paper", "preset", "small", 3).shipped / "log.csv").write_bytes(b"\xff")
    (Run("paper", "preset", "small", 4).shipped / "run.json").write_text("{")
    assert said(capsys, row(500, 5.3)) == []


def test_a_log_without_the_newer_columns_is_read(capsys):
    ship(1, [1.0, 1.0])
    path = Run("paper", "preset", "small", 1).shipped / "log.csv"
    path.write_text("step,loss,seconds\n100,2,1\n200,2,2\n")
    (line,) = said(capsys, row(200, 2.0))
    assert "reference 2 ± 0 (seed 1, 2 rows around): on track" in line
    assert shipped.rows_of(Run("paper", "preset", "small", 1))[0] == {"step": 100.0, "loss": 2.0, "seconds": 1.0}


# --- the end, the wait, the file -----------------------------------------------------------------------------------


def test_the_end_is_expected_by_the_steps_after_the_first_row():
    now = time.mktime((2030, 5, 6, 10, 0, 0, 0, 0, -1))
    assert expected_end((50, now - 600), (650, now), 1000) == "10:05"
    assert expected_end((50, now - 600), (51, now), 1051) == "2030-05-13 08:40"
    assert expected_end((50, now), (50, now), 1000) == "?"


def test_the_share_of_waiting_is_that_of_the_time_of_the_rows_that_know_it():
    rows = [{"step": 1, "seconds": 100.0}, {"step": 2, "seconds": 110.0, "input_wait": 0.5}]
    rows.append({"step": 3, "seconds": 140.0, "input_wait": 0.1})
    assert input_wait(rows) == pytest.approx((5 + 3) / 40)
    assert input_wait(rows[:1]) is None and input_wait([]) is None


def test_every_row_is_in_the_file_as_soon_as_it_is_there(results):
    path = results / "run" / "log.csv"
    rows = [row(100, 5.0), row(200, 4.0)]
    log = LogFile(path, [])
    for number, each in enumerate(rows, 1):
        log.append(each)
        assert path.read_text() == log_csv(rows[:number])
    again = LogFile(path, rows[:1])  # as from a checkpoint that is older than the file
    assert path.read_text() == log_csv(rows[:1])
    again.append(rows[1])
    again.append({**row(300, 3.0), "validation_loss": 3.5})
    with path.open() as file:
        assert [each["validation_loss"] for each in csv.DictReader(file)] == ["", "", "3.5"]
    assert csv_rows(rows, columns_of(rows)).count("\n") == 2
