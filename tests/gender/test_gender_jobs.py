"""Gender jobs from plays and profiles to predictions, suppressions and publication."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.gender.title_list import predict_titles
from recsys_spark.gender.title_prediction import TitlePrediction
from recsys_spark.gender.trained_classifier import find_classifier, load_classifier
from recsys_spark.storage.tables import Tables
from tests.conftest import Workspace

KEY = ["--suppress.key", "a-key-of-tests-16+"]
N_ITEMS = 24
FAST = [
    "--gender.reg_params",
    "0.001",
    "--gender.inner_folds",
    "2",
    "--gender.max_iter",
    "20",
    "--gender.min_items",
    "3",
]
TF_IDF = [*FAST, "--gender.features", "tf_idf"]


def plays(n_users: int = 60, unknown: int = 6, seed: int = 3) -> list[str]:
    """Return plays as CSV lines; the last `unknown` users state no gender.

    Women (even users) like even songs, men odd ones, nine times out of ten.
    """
    generator = np.random.default_rng(seed)
    lines = ["user_id,item_id,item_name,gender"]
    for user in range(n_users + unknown):
        gender = "" if user >= n_users else ("f", "m")[user % 2]
        liked = np.where(generator.random(8) < 0.9, user % 2, 1 - user % 2)
        songs = {
            int(2 * song + parity) for song, parity in zip(generator.permutation(N_ITEMS // 2)[:8], liked, strict=True)
        }
        lines += [f"u{user:03},s{song},Song {song},{gender}" for song in sorted(songs)]
    return lines


def gender_of_titles(spark: SparkSession, config: BaseConfig, titles: Sequence[str]) -> TitlePrediction:
    """Predict by the newest classifier."""
    tables = Tables(spark, config, "run", "predict_gender")
    classifier = load_classifier(tables, config.files_root, find_classifier(tables, None))
    return predict_titles(tables, config, classifier, titles)


def ingest(workspace: Workspace, file: Path) -> None:
    columns = ["--source.columns.item_name", "item_name", "--source.columns.gender", "gender"]
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", file, *columns)
    workspace.done("build_interactions")


@pytest.fixture
def built(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a copy of a workspace with indexed plays, profiles and a TF-IDF classifier."""
    template = tmp_path_factory.getbasetemp() / "gender-template"
    if not template.exists():
        file = tmp_path_factory.mktemp("raw") / "plays.csv"
        file.write_text("\n".join(plays()) + "\n")
        making = replace(workspace, root=tmp_path_factory.mktemp("making") / "tables")
        ingest(making, file)
        assert making.done("train_gender_model", *TF_IDF).rows == {"users_f": 30, "users_m": 30}
        making.root.rename(template)
    shutil.copytree(template, workspace.root)
    return workspace


def predictions(workspace: Workspace) -> dict[str, tuple[str | None, float, dict[str, float], int]]:
    rows = workspace.table("gender_predictions").collect()
    return {r["user_id"]: (r["gender"], r["probability"], r["probabilities"], r["known_items"]) for r in rows}


def test_users_without_a_stated_gender_get_a_prediction(built: Workspace):
    outcome = built.done("predict_gender", *TF_IDF)
    found = predictions(built)
    assert sorted(found) == [f"u{user:03}" for user in range(60, 66)]
    for user, (gender, probability, probabilities, known) in found.items():
        assert gender == ("f", "m")[int(user[1:]) % 2]
        assert probability == max(probabilities.values()) > 0.6
        assert math.isclose(sum(probabilities.values()), 1)
        assert known == 8
    assert outcome.rows["stated"] == 60
    assert outcome.rows["predictions"] == 6
    # The same again changes nothing; another limit does.
    before = built.versions()
    again = built.done("predict_gender", *TF_IDF)
    assert (built.versions(), again.rows["predictions"]) == (before, 6)
    built.done("predict_gender", *TF_IDF, "--gender.confidence", "1")
    assert {gender for gender, *_ in predictions(built).values()} == {None}
    built.done("predict_gender", *TF_IDF, "--gender.all_users", "true")
    assert len(predictions(built)) == 66


def test_if_every_user_states_a_gender_predictions_say_so(built: Workspace, write: Callable[..., Path]):
    lines = ["user_id,item_id,item_name,gender", *[f"u{user:03},s0,Song 0,{'fm'[user % 2]}" for user in range(60, 66)]]
    ingest(built, write("stated.csv", "\n".join(lines) + "\n"))
    built.done("train_gender_model", *TF_IDF)
    outcome = built.done("predict_gender", *TF_IDF)
    assert (outcome.rows["stated"], outcome.rows["predictions"]) == (66, 0)
    assert "no user to predict for" in outcome.stderr and "gender.all_users = true" in outcome.stderr


@pytest.mark.slow
def test_every_user_is_counted_somewhere(built: Workspace, write: Callable[..., Path]):
    lines = [
        "user_id,item_id,item_name,gender",
        "few,s1,Song 1,",
        "few,s2,Song 2,",
        "strange,x1,X,",
        "strange,x2,Y,",
        "strange,x3,Z,",
    ]
    ingest(built, write("more.csv", "\n".join(lines) + "\n"))
    rows = built.done("predict_gender", *TF_IDF).rows
    reasons = ("suppressed", "without_plays", "too_few_known_items", "stated", "predictions")
    assert [rows[name] for name in reasons] == [0, 0, 2, 60, 6]
    assert sum(rows[name] for name in reasons) == 68
    assert not {"few", "strange"} & predictions(built).keys()


def test_a_suppressed_user_is_nowhere(built: Workspace, write: Callable[..., Path]):
    """A suppressed user is neither in training nor in predictions nor readable in suppressions."""
    built.done("predict_gender", *TF_IDF, "--gender.all_users", "true")
    assert "u061" in predictions(built)
    names = write("names.txt", "\ufeffu061\nu000\n")
    outcome = built.done("suppress_users", *KEY, "--suppress.users_file", names)
    assert outcome.rows == {"suppressed": 2, "unknown": 0, "predictions_removed": 2}
    # The log of the table, which VACUUM does not clean, has no id of a suppressed user.
    log = built.root / "gender_predictions" / "_delta_log"
    assert not [file for file in log.glob("*.json") if b"u061" in file.read_bytes().split(b'"add"')[0]]
    assert not {"u061", "u000"} & predictions(built).keys()
    assert built.done("suppress_users", *KEY, "--suppress.users_file", names).rows["suppressed"] == 0
    without_key = built.run("train_gender_model", *TF_IDF)
    assert (without_key.code, "RECSYS_SUPPRESS__KEY" in without_key.stderr) == (2, True)
    wrong_key = built.run("train_gender_model", "--suppress.key", "another key of tests", *TF_IDF)
    assert (wrong_key.code, "not the key" in wrong_key.stderr) == (2, True)
    short_key = built.run("train_gender_model", "--suppress.key", "tiny secret", *TF_IDF)
    assert (short_key.code, "tiny secret" in short_key.stderr) == (2, False)
    # 29 women are left to learn from.
    assert built.done("train_gender_model", *KEY, *TF_IDF).rows["users_f"] == 29
    rows = built.done("predict_gender", *KEY, *TF_IDF, "--gender.all_users", "true").rows
    assert (rows["predictions"], rows["suppressed"]) == (64, 2)
    for table in ("gender_predictions", "suppressions", "models"):
        text = " ".join(str(row) for row in built.table(table).collect())
        assert "u061" not in text and "u000" not in text, table
    made = [file for file in (built.root / "_files").rglob("*") if file.is_file()]
    assert made and not [file for file in made if b"u061" in file.read_bytes()]
    params = " ".join(row["params"] for row in built.table("job_runs").collect())
    assert "a-key-of-tests" not in params


@pytest.mark.slow
def test_vectors_of_any_model(built: Workspace):
    """A classifier on vectors of ALS and TF-IDF predicts and stores its reliability."""
    built.done("train_spark_model", "--models.als.rank", "8")
    both = [*FAST, "--gender.features", "vectors+tf_idf"]
    version = built.done("train_gender_model", *both).summary["model_version"]
    built.done("predict_gender", *both)
    right = [gender == ("f", "m")[int(user[1:]) % 2] for user, (gender, *_) in predictions(built).items()]
    assert sum(right) >= 5
    stored = json.loads((built.root / "_files" / "models" / version / "classifier.json").read_text())
    assert np.array(stored["code_weights"]).shape == (2, 8)
    assert 0 <= stored["ece"] <= 1 and sum(bin_["users"] for bin_ in stored["reliability"]) == 60


@pytest.mark.slow
def test_vectors_of_a_network_and_a_user_without_known_items(built: Workspace, spark, write):
    """Users and lists without a known item have no code and get no prediction."""
    kind = ["--model.kind", "song_autoencoder", "--models.song_autoencoder.units", "8"]
    kind += ["--models.song_autoencoder.epochs", "2", "--training.threads", "1"]
    for job in ("write_shards", "train_torch_model"):
        built.done(job, *kind)
    codes = [*FAST, "--gender.features", "vectors"]
    built.done("train_gender_model", *kind, *codes)
    lines = ["user_id,item_id,item_name,gender", *[f"strange,x{number},X{number}," for number in range(9)]]
    ingest(built, write("strange.csv", "\n".join(lines) + "\n"))
    rows = built.done("predict_gender", *codes).rows
    assert (rows["predictions"], rows["too_few_known_items"]) == (6, 1)
    config = load_config(["--tables.root", str(built.root), *codes], {})
    assert gender_of_titles(spark, config, ["X1", "X2"]).probability is None
    one = gender_of_titles(spark, config, ["Song 2"])
    assert one.known_items == 1 and [title for title, _ in one.contributions] == ["Song 2"]


def test_models_without_vectors_are_refused(built: Workspace):
    built.done("train_spark_model", "--model.kind", "ease")
    outcome = built.run("train_gender_model", *FAST, "--model.kind", "ease", "--gender.features", "vectors")
    assert outcome.code == 2
    assert "have no vectors of users" in outcome.stderr
    crowded = built.run(
        "evaluate_gender", *TF_IDF, "--gender.evaluated", "tf_idf", "--gender.max_evaluated_users", "59"
    )
    assert (crowded.code, "hold 60 users" in crowded.stderr) == (2, True)
    assert "gender.max_evaluated_users = 59" in crowded.stderr


def test_a_list_of_titles(built: Workspace, spark):
    evens = ["SONG  0", " song 2", "Song 4", "Song 4", "s6"]
    outcome = built.done("predict_gender", *TF_IDF, "--items", *evens, "Song 1", "Sung 8")
    assert "gender: f" in outcome.stdout
    assert "base rate: f 0.500, m 0.500 among the users in training; the titles raise f by 0." in outcome.stdout
    assert "not found: Sung 8; nearest: Song 8" in outcome.stdout
    assert outcome.rows == {"items_known": 5, "items_unknown": 1}
    assert "Song" not in outcome.stderr and "Sung" not in outcome.stderr
    assert not built.table("job_runs").where("params LIKE '%Sung%'").count()
    config = load_config(["--tables.root", str(built.root), *TF_IDF], {})
    prediction = gender_of_titles(spark, config, [*evens, "Song 1"])
    assert prediction.gender == "f"
    changes = dict(prediction.contributions)
    assert min(changes, key=lambda title: changes[title]) == "Song 1"
    assert changes["Song 1"] < 0 < min(change for title, change in changes.items() if title != "Song 1")
    # Order and repetitions do not count.
    assert gender_of_titles(spark, config, ["Song 1", *reversed(evens)]).probabilities == prediction.probabilities
    for nothing in ([], ["who knows"], ["  "]):
        unknown = gender_of_titles(spark, config, nothing)
        assert (unknown.gender, unknown.probability, unknown.known_items) == (None, None, 0)


@pytest.mark.slow
def test_a_very_long_list_and_two_items_of_one_name(built: Workspace, write: Callable[..., Path], spark):
    lines = ["user_id,item_id,item_name,gender", *[f"u{user:03},again,Song 3,{'fm'[user % 2]}" for user in range(4)]]
    ingest(built, write("again.csv", "\n".join(lines) + "\n"))
    built.done("train_gender_model", *TF_IDF)
    config = load_config(["--tables.root", str(built.root), *TF_IDF], {})
    titles = [f"nothing {number}" for number in range(10_000)] + ["Song 3", "Song 5"]
    prediction = gender_of_titles(spark, config, titles)
    assert prediction.ambiguous == ("Song 3",)
    assert (prediction.gender, prediction.known_items, len(prediction.unknown)) == ("m", 2, 10_000)


@pytest.mark.slow
def test_labels_that_cannot_be_learnt(workspace: Workspace, write: Callable[..., Path]):
    lines = plays(24, 0)
    ingest(workspace, write("silent.csv", "\n".join([lines[0], *[line.rstrip("fm") for line in lines[1:]]]) + "\n"))
    silent = workspace.run("train_gender_model", *TF_IDF)
    assert (silent.code, "no user states one" in silent.stderr) == (5, True)
    ingest(
        workspace, write("women.csv", "\n".join([lines[0], *[line for line in lines[1:] if line.endswith("f")]]) + "\n")
    )
    women = workspace.run("train_gender_model", *TF_IDF)
    assert (women.code, "12 f" in women.stderr) == (5, True)
    missing = workspace.run("predict_gender", *TF_IDF)
    assert (missing.code, "run train_gender_model" in missing.stderr) == (4, True)
    unknown = workspace.run("predict_gender", *TF_IDF, "--model.version", "gender-0123456789ab")
    assert (unknown.code, "gender-0123456789ab" in unknown.stderr) == (4, True)
    other = workspace.run("predict_gender", *TF_IDF, "--model.version", "als-0123456789ab")
    assert other.code == 2


@pytest.mark.slow
def test_ten_users_with_a_label_are_too_few_by_default_and_enough_if_asked(
    workspace: Workspace, write: Callable[..., Path]
):
    ingest(workspace, write("ten.csv", "\n".join(plays(10, 4)) + "\n"))
    few = workspace.run("train_gender_model", *TF_IDF)
    assert (few.code, "gender.min_class_users = 10" in few.stderr) == (5, True)
    enough = [*TF_IDF, "--gender.min_class_users", "4"]
    assert workspace.done("train_gender_model", *enough).rows == {"users_f": 5, "users_m": 5}


@pytest.mark.slow
def test_the_latest_statement_counts_and_rare_labels_are_left_out(built: Workspace, write: Callable[..., Path]):
    lines = ["user_id,item_id,item_name,gender", "u000,s0,Song 0,m", "u001,s1,Song 1,divers"]
    ingest(built, write("later.csv", "\n".join(lines) + "\n"))
    assert built.done("train_gender_model", *TF_IDF).rows == {"users_f": 29, "users_m": 30}
    # A user whose stated gender is not among the labels gets no prediction.
    built.done("predict_gender", *TF_IDF)
    assert "u001" not in predictions(built)


@pytest.mark.slow
def test_three_genders(workspace: Workspace, write: Callable[..., Path]):
    lines = ["user_id,item_id,item_name,gender"]
    for user in range(60):
        songs = [3 * ((user + step) % 6) + user % 3 for step in range(5)]
        lines += [f"u{user:03},s{song},Song {song},{('f', 'm', 'x')[user % 3] if user < 54 else ''}" for song in songs]
    ingest(workspace, write("three.csv", "\n".join(lines) + "\n"))
    workspace.done("train_gender_model", *TF_IDF)
    workspace.done("predict_gender", *TF_IDF)
    found = predictions(workspace)
    assert {user: gender for user, (gender, *_) in found.items()} == {f"u{u:03}": "fmx"[u % 3] for u in range(54, 60)}


@pytest.mark.slow
def test_evaluation_gate_and_publication(built: Workspace):
    settings = [*FAST, "--gender.folds", "2", "--gender.evaluated", "tf_idf", "--gender.features", "tf_idf"]
    outcome = built.done("evaluate_gender", *settings)
    assert "majority" in outcome.stdout and "known_items=6-10" in outcome.stdout
    assert "Coverage and accuracy at a confidence limit" in outcome.stdout
    figures = {
        (row["algorithm"], row["metric"]): row
        for row in built.table("evaluations").where(F.col("slice") == "all").collect()
    }
    assert figures["gender", "auc"]["value"] > 0.9 > figures["majority", "auc"]["value"] == 0.5
    assert figures["majority", "accuracy"]["value"] == 0.5
    assert figures["gender", "auc"]["protocol"] == "gender_cv"
    assert (
        figures["gender", "auc"]["ci_low"] <= figures["gender", "auc"]["value"] <= figures["gender", "auc"]["ci_high"]
    )
    before = built.versions()
    built.done("evaluate_gender", *settings)
    assert built.versions() == before
    trained = built.done("train_gender_model", *settings).summary["model_version"]
    assert trained == figures["gender", "auc"]["model_version"]
    built.done("predict_gender", *settings)
    built.done("publish_model", *settings, "--model.version", trained)
    serving = built.table("models").where(F.array_contains("serves", "gender_predictions")).collect()
    assert [row["model_version"] for row in serving] == [trained]
    assert json.loads(serving[0]["gate"])["majority"] == 0.5
