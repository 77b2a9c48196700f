"""Job evaluate_similarity: metrics of stored lists, compared with loops over the tables."""

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Workspace

N_USERS, N_ITEMS, K = 40, 18, 3
SPLIT = ("--split.protocol", "strong_random", "--split.held_out_users", 12)
WALK = ("--similarity.method", "random_walk", "--similarity.neighbours", 5)
COSINE = ("--similarity.method", "cosine", "--similarity.neighbours", 5)
FLAGS = ("--compare.k", K, "--evaluation.part", "validation")


@pytest.fixture
def built(workspace: Workspace, write: Callable[..., Path]) -> Workspace:
    """Return a workspace with a split; items from 0 to 17 are ever rarer."""
    rng = np.random.default_rng(1)
    played = rng.random((N_USERS, N_ITEMS)) < np.linspace(0.8, 0.15, N_ITEMS)
    rows = [f"u{u:02d},i{i:02d},4,{1_700_000_000 + i}" for u, i in zip(*np.nonzero(played), strict=True)]
    workspace.ingest_ratings(write("plays.csv", "\n".join(["user_id,item_id,rating,played_at", *rows, ""])))
    workspace.done("split_interactions", *SPLIT)
    return workspace


def expected_values(workspace: Workspace, version: str) -> dict[str, float]:
    """Return metric -> value over all users, by loops over the tables."""
    parts: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in workspace.table("splits").collect():
        parts[row["part"]][row["user_idx"]].add(row["item_idx"])
    number = {row["item_id"]: row["item_idx"] for row in workspace.table("item_index").collect()}
    lists: dict[int, list[int]] = defaultdict(list)
    stored = workspace.table("item_similarity").where(f"model_version = '{version}' AND position <= {K}")
    for row in stored.orderBy("position").collect():
        lists[number[row["item_id"]]].append(number[row["similar_item_id"]])
    users = [sum(item in items for items in parts["train"].values()) for item in range(N_ITEMS)]
    means = []
    for user, wanted in parts["held_out_validation"].items():
        values = []
        for query in parts["fold_in"][user]:
            hits = [place for place, item in enumerate(lists[query]) if item in wanted]
            gain = sum(1 / math.log2(place + 2) for place in hits)
            ideal = sum(1 / math.log2(place + 2) for place in range(min(K, len(wanted))))
            rare = sum(1 / max(users[lists[query][place]], 1) for place in hits)
            rare_targets = sum(1 / max(users[item], 1) for item in wanted)
            values.append((len(hits) > 0, gain / ideal, len(hits) / len(wanted), rare, rare_targets))
        means.append(np.mean(values, axis=0))
    hit_rate, ndcg, recall, rare, rare_targets = np.mean(means, axis=0)
    listed = [item for near in lists.values() for item in near]
    with_list = [item for item in lists if lists[item]]
    degrees = np.bincount(listed, minlength=N_ITEMS)[sorted({*with_list, *listed})]
    lift = np.mean([users[item] for item in listed]) / np.mean([users[item] for item in {*with_list, *listed}]) - 1
    skewness = np.mean((degrees - degrees.mean()) ** 3) / degrees.std() ** 3
    names = ("hit_rate", "ndcg", "recall", "rare_recall", "popularity_lift", "largest_share", "skewness", "unlisted")
    share, unlisted = degrees.max() / len(with_list), np.mean(degrees == 0)
    found = (hit_rate, ndcg, recall, rare / rare_targets, lift, share, skewness, unlisted)
    return {f"similar_{name}@{K}": float(value) for name, value in zip(names, found, strict=True)}


def test_values_are_those_of_loops_over_the_tables(built: Workspace) -> None:
    walk = built.done("build_item_similarity", *SPLIT, *WALK).summary["model_version"]
    cosine = built.done("build_item_similarity", *SPLIT, *COSINE).summary["model_version"]
    outcome = built.done("evaluate_similarity", *SPLIT, *FLAGS, "--compare.models", f"{walk},{cosine}")
    assert outcome.rows["models"] == 2 and "Similar items, lists of 3" in outcome.stdout
    rows = built.table("evaluations").where("slice = 'all'").collect()
    for version in (walk, cosine):
        found = {row["metric"]: row["value"] for row in rows if row["model_version"] == version}
        assert found == pytest.approx(expected_values(built, version), rel=1e-9)
    for row in rows:
        assert row["users"] == 12 and row["part"] == "validation" and row["algorithm"] == "item_knn"
        if row["metric"] == f"similar_recall@{K}":
            assert row["ci_low"] < row["value"] < row["ci_high"]
    slices = {row["slice"] for row in built.table("evaluations").collect()}
    assert {"query_users=0-9", "query_users=10-99", f"version={walk}", f"version={cosine}"} < slices
    jaccard = built.table("evaluations").where(f"metric = 'similar_jaccard@{K}'").collect()
    assert len({row["value"] for row in jaccard}) == 1 and 0 < jaccard[0]["value"] < 1
    before = built.versions()
    built.done("evaluate_similarity", *SPLIT, *FLAGS, "--compare.models", f"{walk},{cosine}")
    assert built.versions() == before, "a second run changes nothing"
    # A kind stands for its newest version on the split; all interactions are another version.
    whole = built.done("build_item_similarity", *WALK).summary["model_version"]
    one = built.done("evaluate_similarity", *SPLIT, *FLAGS, "--compare.models", "item_knn")
    assert one.rows["models"] == 1 and built.versions() == {
        **before,
        **{name: version for name, version in built.versions().items() if name in ("models", "item_similarity")},
    }
    refused = built.run("evaluate_similarity", *SPLIT, *FLAGS, "--compare.models", whole)
    assert refused.code == 2 and "was not trained on the training part" in refused.stderr
    missing = built.run("evaluate_similarity", *SPLIT, *FLAGS, "--compare.models", "lsa")
    assert missing.code == 4 and "run train_spark_model --model.kind lsa" in missing.stderr
