"""Job evaluate: inputs and targets of models are those of the split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import functions as F

from tests.conftest import Workspace

N_USERS, N_ITEMS = 30, 14
SPLIT = ["--split.protocol", "per_user_random", "--split.test_share", "0.2", "--split.validation_share", "0.2"]
EASE = ["--model.kind", "ease", "--models.ease.reg", "2"]
ALS = ["--model.kind", "als", "--models.als.rank", "4", "--models.als.max_iter", "2", "--models.als.blocks", "1"]


@pytest.fixture
def built(workspace: Workspace, write: Callable[..., Path]) -> Workspace:
    """Return a workspace with random ratings and times.

    One user has a single pair, which cannot be held out.
    """
    generator = np.random.default_rng(4)
    rows = ["user_id,item_id,rating,played_at", "lone,i00,4,1700000000"]
    for user, item in zip(*np.nonzero(generator.random((N_USERS, N_ITEMS)) < 0.6), strict=True):
        rows.append(f"u{user:02d},i{item:02d},{generator.integers(1, 6)},{1_700_000_000 + generator.integers(10**6)}")
    path = write("plays.csv", "\n".join([*rows, ""]))
    workspace.ingest_ratings(path)
    return workspace


def overall_values(workspace: Workspace) -> dict[tuple[str, str], float]:
    """Return (algorithm, metric) -> value over all users."""
    rows = workspace.table("evaluations").where("slice = 'all'").collect()
    return {(row["algorithm"], row["metric"]): row["value"] for row in rows}


def test_popularity_stands_beside_a_model_and_a_second_run_changes_nothing(built: Workspace) -> None:
    built.done("split_interactions", *SPLIT)
    built.done("train_spark_model", *SPLIT, *EASE)
    outcome = built.done("evaluate", *SPLIT)
    found = overall_values(built)
    assert {algorithm for algorithm, _ in found} == {"ease", "popularity"}
    assert outcome.stdout.index("Accuracy metrics") < outcome.stdout.index("List metrics")
    assert found["popularity", "ndcg@10"] == pytest.approx(popularity_by_hand(built))
    users = {row["users"] for row in built.table("evaluations").where("slice = 'all'").collect()}
    held_out = built.table("splits").where("part = 'test'").select("user_idx").distinct().count()
    assert users == {held_out}, "users without targets are not evaluated"
    slices = built.table("evaluations").where("slice <> 'all' AND metric = 'ndcg@10'").groupBy("model_version")
    assert {row["n"] for row in slices.agg(F.sum("users").alias("n")).collect()} == {held_out}
    before = built.versions()
    built.done("evaluate", *SPLIT)
    assert built.versions() == before


def popularity_by_hand(workspace: Workspace) -> float:
    """Return NDCG@10 of the most popular items, without those that a user has played."""
    parts: dict[str, dict[int, set[int]]] = {part: {} for part in ("train", "validation", "test")}
    for row in workspace.table("splits").collect():
        parts[row["part"]].setdefault(row["user_idx"], set()).add(row["item_idx"])
    counts: dict[int, int] = {}
    for items in parts["train"].values():
        for item in items:
            counts[item] = counts.get(item, 0) + 1
    ranked = sorted(counts, key=lambda item: (-counts[item], item))
    values = []
    for user, truth in parts["test"].items():
        known = parts["train"].get(user, set()) | parts["validation"].get(user, set())
        listed = [item for item in ranked if item not in known][:10]
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(listed) if item in truth)
        values.append(gain / sum(1 / np.log2(place + 2) for place in range(min(10, len(truth)))))
    return float(np.mean(values))


def test_a_model_of_another_split_is_refused_and_one_that_was_never_trained_is_named(built: Workspace) -> None:
    built.done("split_interactions", *SPLIT)
    built.done("train_spark_model", *EASE)
    everything = built.table("models").collect()[0]["model_version"]
    refused = built.run("evaluate", *SPLIT, "--evaluation.models", everything)
    assert refused.code == 2 and f"{everything} was trained on everything, not on" in refused.stderr
    missing = built.run("evaluate", *SPLIT, "--evaluation.models", "als")
    assert missing.code == 4 and "no model of kind 'als' was trained on per_user_random-" in missing.stderr
    unsplit = built.run("evaluate", *SPLIT, "--run.seed", 9)
    assert unsplit.code == 4 and "run split_interactions first" in unsplit.stderr
    assert built.run("evaluate").code == 2


@pytest.mark.slow
def test_a_last_fit_that_includes_validation_pairs_receives_them_as_input(built: Workspace) -> None:
    built.done("split_interactions", *SPLIT)
    early = built.run("train_spark_model", *SPLIT, *EASE, "--model.fit", "train_and_validation")
    assert early.code == 4 and "no model with these settings was trained on" in early.stderr
    built.done("train_spark_model", *SPLIT, *EASE)
    built.done("evaluate", *SPLIT)
    first = overall_values(built)["ease", "ndcg@10"]
    for fit in ("train_and_validation", "everything"):
        built.done("train_spark_model", *SPLIT, *EASE, "--model.fit", fit)
    parent, validated, everything = built.table("models").where("algorithm = 'ease'").orderBy("created_at").collect()
    assert validated["split_id"] == parent["split_id"] and everything["split_id"] is None
    assert validated["parent_version"] == everything["parent_version"] == parent["model_version"]
    built.done("evaluate", *SPLIT, "--evaluation.models", validated["model_version"])
    value = built.table("evaluations").where(f"model_version = '{validated['model_version']}' AND slice = 'all'")
    assert value.where("metric = 'ndcg@10'").collect()[0]["value"] != first
    refused = built.run("evaluate", *SPLIT, "--evaluation.models", everything["model_version"])
    assert refused.code == 2 and "was trained on everything" in refused.stderr
    assert built.run("train_spark_model", *EASE, "--model.fit", "everything").code == 2
    strong = ["--split.protocol", "strong_random", "--split.held_out_users", "3"]
    built.done("split_interactions", *strong)
    kept_apart = built.run("train_spark_model", *strong, *EASE, "--model.fit", "train_and_validation")
    assert kept_apart.code == 2 and "whose validation pairs are of held-out users" in kept_apart.stderr


@pytest.mark.slow
def test_ratings_are_evaluated_by_their_errors_alone(built: Workspace) -> None:
    split = ["--split.protocol", "rating_random", "--split.test_share", "0.3"]
    built.done("split_interactions", *split)
    lists_only = built.run("evaluate", *split)
    assert lists_only.code == 4 and "no model was trained on rating_random" in lists_only.stderr
    built.done("train_spark_model", *split, *ALS, "--models.als.implicit", "false")
    built.done("evaluate", *split)
    found = overall_values(built)
    assert set(found) == {("als", "rmse"), ("als", "mae"), ("als", "served")}
    assert 0 < found["als", "mae"] < found["als", "rmse"] < 4
    built.done("train_spark_model", *split, *EASE)
    refused = built.run("evaluate", *split, "--evaluation.models", "ease")
    assert refused.code == 2 and "predicts no ratings" in refused.stderr


@pytest.mark.slow
def test_users_who_are_new_after_the_cut_are_evaluated_and_counted(
    built: Workspace, write: Callable[..., Path]
) -> None:
    path = write("late.csv", "user_id,item_id,rating,played_at\nnew,i01,5,1750000000\nnew,i02,5,1750000001\n")
    built.ingest_ratings(path)
    split = ["--split.protocol", "time", "--split.test_from", "2024-01-01T00:00:00Z"]
    built.done("split_interactions", *split)
    built.done("train_spark_model", *split, *ALS)
    built.done("evaluate", *split)
    cold = built.table("evaluations").where("slice = 'known_items=0' AND algorithm = 'als'").collect()
    values = {row["metric"]: (row["value"], row["users"]) for row in cold}
    assert values["served"] == (0.0, 1) and values["ndcg@10"] == (0.0, 1)
