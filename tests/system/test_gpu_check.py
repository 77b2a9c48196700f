"""The GPU check, run on a CPU."""

import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training import trainer
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.prefetch import load_batches
from recsys_spark.training.shard_loader import Counts
from tests.gpu_check import checks
from tests.gpu_check.__main__ import main
from tests.gpu_check.checks import SCALES, Check
from tests.gpu_check.data import generate_plays, read_movielens, write_folders
from tests.gpu_check.meter import StepMeter
from tests.gpu_check.results import Results
from tests.training.runs import PLAIN, make_spec
from tests.training.shard_folders import planted_tastes

RATINGS = b"1::30::5::20\n1::10::3::10\n2::10::1::5\n3::10::1::5\n"


def small_check(root: Path) -> Check:
    return Check("cpu", SCALES["tiny"], root, Results(5), generate_plays(60, 40, 12))


def test_without_a_gpu_the_check_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    assert "--device cpu" in capsys.readouterr().err


@pytest.mark.parametrize("packed", [False, True])
def test_movielens_is_read_in_the_order_of_time(packed: bool, tmp_path: Path) -> None:
    file = tmp_path / ("ratings.dat.gz" if packed else "ratings.dat")
    file.write_bytes(gzip.compress(RATINGS) if packed else RATINGS)
    plays = read_movielens(file, 2)
    assert (plays.users.tolist(), plays.items.tolist(), plays.ratings.tolist()) == ([0, 0, 1], [0, 1, 0], [3, 5, 1])
    assert (plays.n_users, plays.n_items) == (2, 2)


@pytest.mark.parametrize("spec", [ShardSpec(), ShardSpec(rows="items", values="rating")])
def test_shards_hold_every_play_once(spec: ShardSpec, tmp_path: Path) -> None:
    plays = generate_plays(50, 30, 10)
    folders = write_folders(plays, spec, tmp_path)
    assert folders.validation is not None
    manifest, found, pairs = Manifest.read(folders.validation), np.zeros((50, 30)), np.zeros((50, 30))
    for rows in Epoch(folders.validation, manifest, 16, 1).batches(0, Counts()):
        assert rows.held is not None
        for part in (rows.entries, rows.held):
            users, items = np.repeat(rows.numbers, part.lengths()), part.indices
            place = (users, items) if spec.rows == "users" else (items, users)
            np.add.at(found, place, part.values)
    pairs[plays.users, plays.items] = plays.ratings if spec.values == "rating" else 1
    assert np.array_equal(found, pairs)
    assert 0.1 < manifest.held_non_zeros / plays.users.size < 0.3
    assert Manifest.read(folders.train).held_non_zeros == 0


def test_the_meter_finds_a_slow_loader_and_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_batches

    def slow(*args: Any) -> Any:
        for batch in load(*args):
            time.sleep(0.2)
            yield batch

    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN | {"epochs": 9})
    step, shares = trainer._Trainer._step, []
    for loader in (load, slow):
        monkeypatch.setattr(trainer, "load_batches", loader)
        meter = StepMeter("cpu", warm_up=1, steps=4)
        with meter.measuring():
            trainer.train(spec.as_dict())
        assert meter.steps == 4
        shares.append(meter.waiting_share)
    assert shares[1] > max(0.5, shares[0])
    assert trainer._Trainer._step is step


def test_a_metric_that_differs_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    check = small_check(tmp_path / "same")
    check.root.mkdir()
    check.check_agreement(["song_autoencoder"], 60)
    (rounded,) = [line for line in check.results.lines if line["precision"] == "bfloat16"]
    assert rounded["ok"] is True and not check.results.failed
    assert rounded["same_weights_cpu"] == pytest.approx(rounded["device"], abs=1e-4)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == check.results.lines
    metrics = iter([0.5, 0.502])
    monkeypatch.setattr(checks, "validate", lambda *args: next(metrics))
    other = small_check(tmp_path / "other")
    other.root.mkdir()
    monkeypatch.setattr(Check, "precisions", ("float32",))
    other.check_agreement(["song_autoencoder"], 60)
    assert other.results.lines[0]["ok"] is False and other.results.failed


def test_checks_without_time_are_skipped(tmp_path: Path) -> None:
    check = Check("cpu", SCALES["tiny"], tmp_path, Results(0), generate_plays(60, 40, 12))
    check.check_agreement(["mult_vae"], 0)
    assert check.results.lines[0]["skipped"] == "no time left"


def test_one_gpu_is_too_few_for_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check = Check("cuda", SCALES["tiny"], tmp_path, Results(1), generate_plays(60, 40, 12))
    check.check_two_processes()
    assert check.results.lines[0]["skipped"] == "this machine has 1 GPU; two are needed"


@pytest.mark.slow
def test_all_checks_pass_on_a_cpu(capsys: Any) -> None:
    assert main(["--device", "cpu", "--scale", "tiny", "--kinds", "mult_vae", "autorec_item"]) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["check"] for line in lines] == [
        "machine",
        *["agreement"] * 3,
        "two processes",
        "data",
        *["speed"] * 2,
    ]
    assert all(line["ok"] for line in lines if "ok" in line)
    assert all(line["steps"] >= 1 and line["epoch_seconds"] > 0 for line in lines if line["check"] == "speed")
    assert "waiting_share" in printed.err
