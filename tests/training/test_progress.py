"""Texts and log lines on the progress of a training run."""

import json
import logging
from pathlib import Path

import pytest

from recsys_spark.training.progress import EpochLog, EpochProgress


def test_a_run_shows_its_epoch_and_its_remaining_time() -> None:
    now = [0.0]
    progress = EpochProgress(20, "ndcg@100", clock=lambda: now[0])
    assert progress.text() == ""
    progress.show(0.5, 0.75, None)
    assert progress.text() == "epoch 1 of 20, loss 0.75"
    now[0] = 10.0
    progress.show(2.5, 0.5, 0.25)
    assert progress.text() == "epoch 3 of 20, loss 0.5, ndcg@100 0.25, about 1 min left"
    progress.show(20.0, 0.5, 0.25)
    assert progress.text() == "epoch 20 of 20, loss 0.5, ndcg@100 0.25"


def test_a_resumed_run_counts_its_own_epochs_and_a_trial_none() -> None:
    now = [0.0]
    resumed = EpochProgress(10, "rmse", done=4.0, clock=lambda: now[0])
    trial = EpochProgress(10, "rmse", is_trial=True, clock=lambda: now[0])
    now[0] = 12.0
    assert resumed.left(6.0) == ", about 24 s left"
    assert trial.left(6.0) == ""


def test_the_line_of_an_epoch_counts_from_one_and_its_file_from_zero(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = {"epoch": 2, "loss": 0.5, "metric": 0.25, "metric_name": "ndcg@100", "seconds": 1.25}
    with caplog.at_level(logging.INFO):
        EpochLog(tmp_path / "log.jsonl").write(line, 20, ", about 25 s left")
    assert caplog.messages == ["epoch 3 of 20: loss 0.5, ndcg@100 0.25, 1.2 s, about 25 s left"]
    assert json.loads((tmp_path / "log.jsonl").read_text()) == line
