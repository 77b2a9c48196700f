"""Tests of jobs with the solver block_cg: outputs, killed trainings, warm starts."""

import json

import pytest

from recsys_spark.models import spark_training

ALS = ["--model.kind", "als", "--models.als.solver", "block_cg", "--models.als.rank", "3", "--models.als.max_iter", "4"]


def plays_of(users):
    """Return CSV rows of users with one of two tastes."""
    return "".join(f"u{u},i{i}\n" for u in users for i in range(10) if i % 2 == u % 2 and (u + i) % 7)


@pytest.fixture
def interactions(workspace, write):
    write("a.csv", "user_id,item_id\n" + plays_of(range(30)))
    add(workspace)
    return workspace


def add(workspace):
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", workspace.root.parent / "raw")
    workspace.done("build_interactions")


def trained(workspace, *flags):
    version = workspace.done("train_spark_model", *ALS, *flags).summary["model_version"]
    (row,) = workspace.table("models").where(f"model_version = '{version}'").collect()
    return version, json.loads(row["params"]), row["metrics"]


def test_a_killed_training_goes_on_and_its_outputs_are_built(interactions, monkeypatch):
    def killed(*_, **__):
        raise RuntimeError("killed before the row of the version")

    with monkeypatch.context() as patched:
        patched.setattr(spark_training, "record_model", killed)
        assert interactions.run("train_spark_model", *ALS).code == 1
    (checkpoint,) = (interactions.root / "_files" / "models").glob("*/checkpoints/checkpoint.json")
    assert json.loads(checkpoint.read_text())["number"] == 8
    changed = checkpoint.stat().st_mtime_ns
    with monkeypatch.context() as patched:
        # Files are removed at the end, and the test looks at them.
        patched.setattr(spark_training, "CHECKPOINTS", "elsewhere")
        patched.setattr(spark_training, "_clear", lambda _: None)
        version, params, metrics = trained(interactions)
    assert checkpoint.stat().st_mtime_ns == changed
    assert params["settings"]["solver"] == "block_cg"
    assert metrics["passes"] == 8
    assert interactions.table("user_vectors").where(f"model_version = '{version}'").count() == 30
    interactions.done("build_item_similarity", "--model.kind", "als")
    interactions.done("build_recommendations", "--model.kind", "als")
    # Users like even or odd items, as their own number is, and some have played all of them.
    listed = interactions.table("recommendations").where("position = 1").collect()
    pairs = [(int(row["user_id"][1:]), int(row["item_id"][1:])) for row in listed]
    left = [(u, i) for u, i in pairs if any(k % 2 == u % 2 and (u + k) % 7 == 0 for k in range(10))]
    assert len(left) > 10
    assert [(u, i) for u, i in left if i % 2 != u % 2] == []


def test_checkpoints_are_removed_and_a_warm_start_names_its_version(interactions, write):
    cold, params, _ = trained(interactions)
    assert "start" not in params
    assert list((interactions.root / "_files" / "models").glob("*/checkpoints")) == []
    write("b.csv", "user_id,item_id\n" + plays_of(range(30, 34)))
    add(interactions)
    flags = ["--models.als.warm_start", "true", "--models.als.tolerance", "0.01"]
    warm, params, _ = trained(interactions, *flags)
    assert params["start"] == cold
    assert trained(interactions, *flags)[0] == warm
    assert interactions.table("user_vectors").where(f"model_version = '{warm}'").count() == 34
    refused = interactions.run("train_spark_model", *ALS, *flags, "--models.als.rank", "5")
    assert refused.code == 2
    assert "set models.als.rank to 3" in refused.summary["error"]
