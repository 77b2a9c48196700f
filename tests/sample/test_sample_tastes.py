"""The planted structure: long tails, taste groups, and a gender that is predictable with errors."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from recsys_spark.config.sample import SamplePlan, SampleSettings
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.generator import generate
from recsys_spark.sample.histories import draw_counts, draw_pairs
from recsys_spark.sample.randomness import IntArray, stream
from recsys_spark.sample.tastes import GROUPS, draw_tastes, female_probability


@pytest.fixture(scope="module")
def default_sample(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("default") / "sample"
    generate(spark, SampleSettings(), 42, folder)
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def play_matrix(folder: Path) -> tuple[csr_matrix, list[str]]:
    """Return log-scaled plays, users x items, and the users in the order of the rows."""
    plays = [row for path in sorted(folder.glob("plays/*.csv")) for row in read_csv(path)]
    users = sorted({play["user_id"] for play in plays})
    items = sorted({play["item_id"] for play in plays})
    user_idx = {user: index for index, user in enumerate(users)}
    item_idx = {item: index for index, item in enumerate(items)}
    rows = [user_idx[play["user_id"]] for play in plays]
    columns = [item_idx[play["item_id"]] for play in plays]
    matrix = csr_matrix((np.ones(len(plays)), (rows, columns)))
    matrix.data = np.log1p(matrix.data)
    return matrix, users


def test_gender_is_predictable_from_plays_with_errors(default_sample: Path) -> None:
    matrix, users = play_matrix(default_sample)
    stated = {row["user_id"]: row["gender"] for row in read_csv(default_sample / "users.csv")}
    truth = pd.read_parquet(default_sample / "truth/users").set_index("user_id").loc[users]
    is_stated = np.array([stated[user] != "" for user in users])
    female = np.array([stated[user] == "f" for user in users])[is_stated]
    model = make_pipeline(TfidfTransformer(), LogisticRegression(max_iter=1_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    guesses = cross_val_predict(model, matrix[is_stated], female, cv=folds, method="predict_proba")[:, 1]

    reached = roc_auc_score(female, guesses)
    best = roc_auc_score(female, truth["female_probability"][is_stated])
    assert 0.78 < reached < 0.90
    assert reached + 0.02 < best < 0.95
    assert 0.3 < female.mean() < 0.42
    assert 0.85 < is_stated.mean() < 0.95
    assert (truth["gender_stated"].to_numpy() == is_stated).all()
    assert ((truth["gender"] == "f").to_numpy()[is_stated] == female).all()


def test_sample_has_long_tails(default_sample: Path) -> None:
    matrix, _ = play_matrix(default_sample)
    plays = pd.DataFrame(row for path in default_sample.glob("plays/*.csv") for row in read_csv(path))
    of_users, of_items = plays["user_id"].value_counts(), plays["item_id"].value_counts()
    assert len(plays) == 60_000
    assert of_users.max() > 4 * of_users.median()
    assert of_users.min() < of_users.median() / 3
    assert 0.2 < of_items.head(len(of_items) // 20).sum() / len(plays) < 0.6
    assert len(of_items) > 1_400
    # Favourites: songs are sung again, but most plays are not repeats.
    assert 0.4 < matrix.nnz / len(plays) < 0.8


def draw_all(plan: SamplePlan) -> tuple[IntArray, IntArray, IntArray]:
    """Return users, items, and (users, 3) taste groups of all blocks."""
    users, items, groups = [], [], []
    for block in range(plan.files):
        tastes = draw_tastes(plan, block)
        drawn = draw_pairs(stream(plan.seed, "plays", block), tastes, build_catalogue(plan), draw_counts(plan, block))
        users.append(drawn[0] + plan.users_of(block).start)
        items.append(drawn[1])
        groups.append(tastes.groups)
    return np.concatenate(users), np.concatenate(items), np.concatenate(groups)


def test_lastfm_histories_have_the_shape_of_the_data_set() -> None:
    plan = SampleSettings(format="lastfm_360k", users=10_000).plan(1)
    users, items, groups = draw_all(plan)
    counts, support = np.bincount(users), np.sort(np.bincount(items))[::-1]
    assert len(users) == plan.rows == 488_651
    assert ((counts >= 1) & (counts <= 400)).all()
    assert np.quantile(counts, 0.995) > 150
    assert 35 < np.median(counts) < counts.mean()
    assert support[0] > 50 * np.median(support[support > 0])
    own = (groups[users] == build_catalogue(plan).groups[items][:, None]).any(axis=1).mean()
    assert 0.7 < own < 0.9
    by_chance = np.mean([np.isin(build_catalogue(plan).groups, group).mean() for group in groups[:200]])
    assert own > 3 * by_chance


def test_stated_probabilities_of_gender_are_calibrated() -> None:
    plan = SampleSettings(users=60_000, users_per_file=20_000).plan(5)
    blocks = [draw_tastes(plan, block) for block in range(plan.files)]
    female = np.concatenate([tastes.female for tastes in blocks])
    groups = np.concatenate([tastes.groups for tastes in blocks])
    probability = female_probability(groups)
    deciles = [np.floor(probability * 10) == tenth for tenth in range(10)]
    first_choices = [groups[:, 0] == group for group in range(GROUPS)]
    last_choices = [groups[:, 2] == group for group in range(GROUPS)]
    for inside in [*deciles, *first_choices, *last_choices]:
        assert inside.sum() > 500
        tolerance = 4 * np.sqrt(probability[inside].mean() * (1 - probability[inside].mean()) / inside.sum())
        assert abs(female[inside].mean() - probability[inside].mean()) < tolerance


def test_groups_of_a_user_differ_and_shares_sum_to_one() -> None:
    tastes = draw_tastes(SampleSettings().plan(2), 0)
    assert (np.diff(np.sort(tastes.groups, axis=1), axis=1) > 0).all()
    assert ((tastes.groups >= 0) & (tastes.groups < GROUPS)).all()
    assert np.allclose(tastes.shares.sum(axis=1), 1.0)


def test_drawn_items_follow_the_stated_popularity() -> None:
    catalogue = build_catalogue(SampleSettings(items=60).plan(9))
    group = int(catalogue.groups[0])
    drawn = catalogue.draw(np.random.default_rng(0), np.full(200_000, group))
    members = np.flatnonzero(catalogue.groups == group)
    within = catalogue.popularity[members] / catalogue.popularity[members].sum()
    assert set(drawn) == set(members)
    assert np.allclose(np.bincount(drawn, minlength=60)[members] / 200_000, within, atol=0.005)
