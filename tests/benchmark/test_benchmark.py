"""Tests of the measures, their references, and the lines of the benchmark job."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark.benchmark import ease_measures, training_measures
from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, torch_threads
from recsys_spark.benchmark.data import generate_histories, history_frame, write_history_shards
from recsys_spark.benchmark.factorization_measures import read_triples, train_on_triples
from recsys_spark.benchmark.lsa_measures import generate_play_counts, reference_svd
from recsys_spark.benchmark.network_measures import first_layer, layer_pair, row_batches
from recsys_spark.benchmark.peer_measures import run_peer
from recsys_spark.benchmark.registry import MEASURES, chosen_measures
from recsys_spark.benchmark.result_files import save_comparison
from recsys_spark.benchmark.training_measures import epoch_seconds, reference_epochs, train_epochs
from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.models.ease import ease_weights
from recsys_spark.models.settings.lsa import LsaSettings
from recsys_spark.networks.batch import Batch
from recsys_spark.training.spec import TrainSpec
from tests.conftest import Workspace

FIELDS = ["measure", "size", "ours_seconds", "reference", "reference_seconds", "ratio", "goal"]
# Measures that take a few seconds; the others are marked slow.
FAST = ("shard_loading", "first_layer_3700", "item_similarity")
# Measures that need another Python with other libraries.
PEER_MEASURES = ("als_pass", "als_solver_64", "als_solver_128", "als_solver_256", "small_data")
WITHOUT_GOAL = ("gender_training", "als_pass")
ONE_PROCESS = TrainingSettings.model_validate({"processes": 1, "threads": 1})


@pytest.fixture
def bench(spark: SparkSession, tmp_path: Path) -> Iterator[Bench]:
    """Yield settings with the smallest data, one thread and one turn."""
    with torch_threads(1):
        yield Bench(spark, tmp_path / "bench", 0.001, 1, 3, threads=1, n_items=60)


def comparison(**changes: Any) -> Comparison:
    return replace(Comparison("m", "s", 2.0, "r", 3.0, ">= 1"), **changes)


def training_spec(folder: Path, settings: dict[str, int], seed: int) -> TrainSpec:
    """Return a training spec for the shards below a folder."""
    return TrainSpec("mult_vae", settings, seed, str(folder / "shards"), None, str(folder / "model"), threads=1)


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=[pytest.mark.slow] * (m not in FAST)) for m in MEASURES if m not in PEER_MEASURES]
)
def test_every_measure_gives_a_line_with_seconds_a_ratio_and_its_threads(bench, name):
    line = MEASURES[name](bench).as_dict()
    assert list(line)[: len(FIELDS)] == FIELDS
    assert line["measure"] == name
    assert line["size"] and line["reference"]
    assert bool(line["goal"]) == (name not in WITHOUT_GOAL)
    numbers = {key: value for key, value in line.items() if isinstance(value, int | float)}
    assert {"ours_seconds", "reference_seconds", "ratio", "threads"} <= numbers.keys()
    assert all(math.isfinite(value) and value > 0 for value in numbers.values()), numbers
    json.dumps(line)


@pytest.mark.parametrize("name", PEER_MEASURES)
def test_a_measure_with_other_libraries_names_the_command_that_installs_them(bench, name):
    with pytest.raises(ConfigError, match="make peers"):
        MEASURES[name](bench)


def test_the_last_line_of_another_program_is_its_result(bench, tmp_path):
    shown = 'import json, sys; print("noise"); print(json.dumps({"arguments": float(len(sys.argv))}))'
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nshift\nexec {sys.executable} -c '{shown}' \"$@\"\n")
    python.chmod(0o755)
    assert run_peer(replace(bench, peers=str(python)), "implicit_als.py", "a b", 3) == {"arguments": 3.0}
    with pytest.raises(ConfigError, match=r"implicit_als.py failed: .*no such library"):
        python.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
        run_peer(replace(bench, peers=str(python)), "implicit_als.py")


def test_the_nearest_measure_is_offered():
    with pytest.raises(ConfigError, match="did you mean 'small_files'"):
        chosen_measures(["smal_files"])


def test_the_ratio_is_the_speed_for_a_minimum_and_the_time_for_a_maximum():
    assert comparison(goal=">= 1.5 at large steps").ratio == pytest.approx(1.5)
    assert comparison(goal="<= 1.3").ratio == pytest.approx(2 / 3)
    assert [comparison(goal=goal).is_met for goal in (">= 1.4", ">= 1.6", "<= 0.7", "<= 0.6")] == [True, False] * 2


def test_a_comparison_without_a_goal_has_the_relative_time_and_is_not_met():
    line = comparison(goal="")
    assert line.ratio == pytest.approx(2 / 3)
    assert not line.is_met


def test_saved_lines_make_a_table_of_the_latest_of_each_measure(tmp_path):
    order = ["a", "b", "never"]
    for measure in ("b", "a"):
        save_comparison(comparison(measure=measure), tmp_path, order)
    with (tmp_path / "benchmark.jsonl").open("a") as stream:
        stream.write('{"measure": "a", "ha')
    table = save_comparison(comparison(measure="a", ours_seconds=1.5, goal="", more={"threads": 2}), tmp_path, order)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.read_text().splitlines()]
    assert rows[2:] == [
        ["a", "s", "r", "1.5", "3", "0.5", "", "2"],
        ["b", "s", "r", "2", "3", "1.5", ">= 1", ""],
    ]


def test_ours_and_the_reference_take_turns_and_the_median_counts():
    turns = []

    def clock(name, seconds):
        given = iter(seconds)

        def run():
            turns.append(name)
            return next(given)

        return run

    medians = take_turns(3, clock("ours", [9.0, 1.0, 2.0]), clock("reference", [4.0, 50.0, 5.0]))
    assert medians == (2.0, 5.0)
    assert turns == ["ours", "reference"] * 3
    assert epoch_seconds([70.0, 3.0, 1.0, 2.0]) == 2.0


def test_histories_have_no_item_twice_a_few_popular_items_and_tastes():
    rows = generate_histories(800, 600, 0)
    matrix = np.zeros((800, 600))
    for row, (first, last) in enumerate(zip(rows.indptr, rows.indptr[1:], strict=False)):
        items = rows.indices[first:last]
        assert (np.diff(items) > 0).all()
        matrix[row, items] = 1
    assert matrix.sum() == rows.indices.size and rows.lengths().min() >= 20
    plays = np.sort(matrix.sum(0))[::-1]
    assert plays[:60].sum() > 3 * plays[-60:].sum()
    shared = matrix @ matrix.T
    expected = np.outer(matrix.sum(1), matrix.sum(1)) * (plays**2).sum() / plays.sum() ** 2
    # Users of one taste in twelve share far more items than popularity alone gives them.
    assert np.quantile((shared / expected)[np.triu_indices(800, 1)], 0.97) > 1.5
    assert not np.array_equal(rows.indices, generate_histories(800, 600, 1).indices)
    assert np.array_equal(rows.indices, generate_histories(800, 600, 0).indices)


def test_the_reference_loop_takes_the_same_steps_as_the_trainer(bench, tmp_path):
    rows = generate_histories(50, bench.n_items, 1)
    write_history_shards(bench.spark, rows, bench.n_items, tmp_path / "shards", 3, bench.seed)
    settings = {"epochs": 3, "batch_rows": 12, "hidden": 8, "latent": 3}
    spec = TrainSpec(
        "mult_vae", settings, bench.seed, str(tmp_path / "shards"), None, str(tmp_path / "model"), threads=1
    )
    trained = [line["loss"] for line in train_epochs(bench, spec, ONE_PROCESS)]
    reference = [epoch.loss for epoch in reference_epochs(spec)]
    assert reference == pytest.approx(trained, rel=1e-5)
    assert len(set(reference)) == 3


def test_epochs_are_trained_anew_each_time(bench, tmp_path):
    """Training does not resume from a checkpoint, which would leave nothing to time."""
    write_history_shards(bench.spark, generate_histories(30, 40, 1), 40, tmp_path / "shards", 2, 0)
    settings = {"epochs": 2, "hidden": 4, "latent": 2}
    spec = training_spec(tmp_path, settings, 0)
    first, second = (train_epochs(bench, spec, ONE_PROCESS) for _ in range(2))
    assert [line["loss"] for line in first] == pytest.approx([line["loss"] for line in second])
    assert [line["seconds"] for line in first] != [line["seconds"] for line in second]


def test_both_first_layers_give_the_same_codes_and_gradients():
    batch, sparse, dense = layer_pair(300, 0)
    ours, theirs = sparse(batch), dense(batch.dense())
    assert torch.allclose(ours, theirs, atol=1e-4)
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    for product in (ours, theirs):
        torch.autograd.backward(product, upstream)
    our_weight, our_bias = (parameter.grad for parameter in sparse.parameters())
    their_weight, their_bias = (parameter.grad for parameter in dense.parameters())
    assert our_weight is not None and their_weight is not None and our_bias is not None and their_bias is not None
    assert torch.allclose(our_weight, their_weight.T, atol=1e-3)
    assert torch.allclose(our_bias, their_bias, atol=1e-4)


def test_the_comparison_of_a_first_layer_has_its_size(bench):
    line = first_layer(bench, "small", 200, ">= 1")
    assert line.size == "256 rows x 200 columns, 25,600 entries, width 600"


def test_batches_of_one_user_and_of_many_hold_the_same_rows():
    rows = generate_histories(10, 50, 0)

    def entries(batches: list[Batch]) -> list[list[int]]:
        return [part.tolist() for batch in batches for part in torch.split(batch.indices, batch.lengths().tolist())]

    single, many = row_batches(rows, 50, 1), row_batches(rows, 50, 4)
    assert [len(batch) for batch in single] == [1] * 10
    assert [len(batch) for batch in many] == [4, 4, 2]
    assert entries(single) == entries(many)


def test_the_closed_form_gives_the_scores_of_ease(bench, tmp_path):
    rows = generate_histories(300, 40, 2)
    users = np.zeros((300, 40))
    users[np.repeat(np.arange(300), rows.lengths()), rows.indices] = 1
    gram = users.T @ users
    ours = np.concatenate(list(ease_weights(np.ascontiguousarray(gram), 10.0)))
    reference = ease_measures.closed_form(users.T @ users, 10.0)
    assert np.allclose(users @ ours, users @ reference, atol=1e-4)
    assert np.abs(reference).max() > 0.01
    frame = history_frame(bench.spark, rows, tmp_path / "histories.parquet")
    assert frame.count() == 300


def test_plays_have_the_size_asked_for_and_few_popular_items():
    plays = generate_play_counts(400, 150, 8_000, 1)
    assert plays.shape == (400, 150) and plays.nnz == 8_000 and plays.has_canonical_format
    users = np.sort(np.diff(plays.tocsc().indptr))[::-1]
    assert users[:15].sum() > 5 * users[-15:].sum() and plays.data.min() == 1 < np.median(plays.data)
    assert (
        (generate_play_counts(400, 150, 8_000, 1) != plays).nnz
        == 0
        < (generate_play_counts(400, 150, 8_000, 2) != plays).nnz
    )


def test_the_reference_of_lsa_approximates_a_flat_spectrum():
    plays = generate_play_counts(300, 80, 6_000, 1)
    users, values, items = reference_svd(plays, LsaSettings(rank=6, oversampling=10, iterations=5), 1)
    expected = np.linalg.svd(plays.toarray(), compute_uv=False)[:6]
    assert values == pytest.approx(expected, rel=0.02)
    assert np.allclose(users.T @ users, np.eye(6)) and np.allclose(items @ items.T, np.eye(6))
    assert np.allclose(np.linalg.norm(plays @ items.T, axis=0), values, rtol=0.02)


def test_the_job_prints_a_line_a_measure_and_leaves_no_files(workspace: Workspace):
    small = ("--benchmark.scale", 0.001, "--benchmark.repeats", 1, "--training.threads", 1)
    outcome = workspace.done("benchmark", "--benchmark.measures", "first_layer_3700,shard_loading", *small)
    lines = [json.loads(line) for line in outcome.stdout.strip().splitlines()]
    assert [line.get("measure") for line in lines] == ["first_layer_3700", "shard_loading", None]
    assert lines[0]["threads"] == 1
    assert outcome.rows["measures"] == 2
    assert outcome.summary["outputs"].keys() <= {"job_runs"}
    assert [log.parent.name for log in workspace.root.glob("*/_delta_log")] == ["job_runs"]
    assert [path for path in workspace.root.rglob("*") if "benchmark" in path.name] == []
    assert "shard_loading" in outcome.stderr and "goal" in outcome.stderr


def test_a_failing_measure_leaves_no_files_either(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def fail(bench: Bench) -> Comparison:
        bench.folder.mkdir(parents=True)
        (bench.folder / "half").touch()
        print("from a process")
        raise RuntimeError("no such luck")

    monkeypatch.setitem(MEASURES, "ease", fail)
    outcome = workspace.run("benchmark", "--benchmark.measures", "ease")
    assert outcome.code == 1
    assert "no such luck" in outcome.summary["error"]
    assert len(outcome.stdout.strip().splitlines()) == 1, "only the summary goes to stdout"
    assert list(workspace.root.rglob("half")) == []


def test_unknown_measures_are_refused_before_anything_is_measured(workspace: Workspace):
    outcome = workspace.run("benchmark", "--benchmark.measures", "ease,speed,taste")
    assert outcome.code == 2
    for text in ("'speed'", "'taste'", *MEASURES):
        assert text in outcome.stderr
    assert len(outcome.stdout.strip().splitlines()) == 1


def test_smaller_steps_are_reported_beside_the_large_one(bench, monkeypatch):
    """Seconds of epochs are stubbed; no process starts."""
    seconds = {(1, 100): 1.0, (2, 100): 4.0, (1, 500): 3.0, (2, 500): 4.0, (1, 1000): 2.0, (2, 1000): 2.0}
    seconds |= {(1, 2000): 3.0, (2, 2000): 2.0}

    def given(bench, spec, training):
        assert spec.threads == training.threads == 1
        return [{"seconds": 99.0}] + [{"seconds": seconds[training.processes, spec.settings["batch_rows"]]}] * 2

    monkeypatch.setattr(training_measures, "train_epochs", given)
    line = MEASURES["two_processes"](bench).as_dict()
    assert [line[name] for name in ("ratio", "ratio_at_100", "ratio_at_500", "ratio_at_1000")] == [1.5, 0.25, 0.75, 1.0]


def test_triples_are_the_entries_of_the_shards(bench: Bench):
    rows = generate_histories(40, 60, 5)
    write_history_shards(bench.spark, rows, 60, bench.folder / "shards", 2, 5, ShardSpec(values="rating"))
    spec = replace(training_spec(bench.folder, {"epochs": 2, "batch_rows": 16}, 5), kind="matrix_factorization")
    (users, items, ratings), n_steps = read_triples(spec)
    expected = {(row, item) for row in range(40) for item in rows.indices[rows.indptr[row] : rows.indptr[row + 1]]}
    assert len(users) == len(expected)
    assert set(zip(users.tolist(), items.tolist(), strict=True)) == expected
    assert (ratings == 1).all()
    assert len(train_on_triples(spec, (users, items, ratings), n_steps)) == 2
