"""Tests of the log of epochs on file systems that refuse to append."""

import json
import os

from recsys_spark.training.progress import EpochLog, logged_seconds


def line(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "loss": 0.5, "metric": float("nan"), "metric_name": "ndcg@10", "seconds": 1.5}


def test_each_epoch_makes_a_new_file_with_all_lines(tmp_path):
    file, earlier = tmp_path / "log.jsonl", tmp_path / "earlier"
    log = EpochLog(file)
    log.write(line(0), 3)
    os.link(file, earlier)
    log.write(line(1), 3)
    assert [json.loads(text)["epoch"] for text in file.read_text().splitlines()] == [0, 1]
    # An append would have changed the first file as well.
    assert len(earlier.read_text().splitlines()) == 1
    assert logged_seconds(file) == 3.0
    assert json.loads(file.read_text().splitlines()[0])["metric"] is None


def test_a_resumed_run_keeps_the_first_epochs(tmp_path):
    file = tmp_path / "log.jsonl"
    log = EpochLog(file)
    log.truncate(1)
    assert not file.exists()
    for epoch in range(3):
        log.write(line(epoch), 3)
    log.truncate(2)
    assert [json.loads(text)["epoch"] for text in file.read_text().splitlines()] == [0, 1]
