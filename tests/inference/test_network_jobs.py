"""Jobs from plays to lists with networks: run twice, and compared with the network's own scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys_spark.networks.batch import Batch
from recsys_spark.training.weights import load_network_weights
from tests.conftest import Workspace

N_USERS, N_ITEMS = 60, 16
# Less dropout and weight decay than the defaults, because histories have six items. Training must not end early: the
# metric of six users jumps.
MORE = {"mult_vae": {"dropout": "0.5", "weight_decay": "0.00001", "patience": "0"}}
SPLIT = ["--split.protocol", "strong_random", "--split.held_out_users", "6", "--split.min_held_out_user_items", "3"]


@pytest.fixture
def built(workspace: Workspace, write: Callable[..., Path]) -> Workspace:
    """Ingest ratings: even users rate even items, odd users odd ones; each user lacks two of them."""
    rows = ["user_id,item_id,rating,played_at"]
    for user in range(N_USERS):
        liked = [item for item in range(N_ITEMS) if item % 2 == user % 2 and (item // 2 + user // 2) % 8 > 1]
        rows += [f"u{user:02d},i{item:02d},{4 + item % 2},{1_700_000_000 + 60 * item}" for item in liked]
    path = write("plays.csv", "\n".join([*rows, ""]))
    workspace.ingest_ratings(path)
    return workspace


def train(workspace: Workspace, kind: str, *more: str) -> str:
    """Write shards, train a model, and return its version."""
    # No running average: an epoch is one step here, so the average would stay near the initial weights.
    steps = {"epochs": "40", "learning_rate": "0.02", "average": "0"} | MORE.get(kind, {})
    flags = ["--model.kind", kind, *[part for k, v in steps.items() for part in (f"--models.{kind}.{k}", v)], *more]
    workspace.done("write_shards", *flags)
    workspace.done("train_torch_model", *flags)
    return str(workspace.table("models").where(f"algorithm = '{kind}'").orderBy("created_at").collect()[-1][0])


def test_a_network_recommends_what_it_scores_highest_and_the_second_run_changes_nothing(built: Workspace) -> None:
    built.done("split_interactions", *SPLIT)
    version = train(built, "mult_vae", *SPLIT)
    model = built.table("models").where(f"model_version = '{version}'").collect()[0]
    assert model["selection_metric"] == "ndcg@100" and model["split_id"].startswith("strong_random-")
    # Items of the own group first give about 0.71 on average, any order 0.4.
    assert model["metrics"]["ndcg@100"] > 0.71, "the network learns the two groups"
    for job in ("build_item_similarity", "build_recommendations"):
        built.done(job, "--model.kind", "mult_vae", "--recommendations.top_k", "4")
    _check_lists(built, version)
    nearest = built.table("item_similarity").where("position = 1").collect()
    own_taste = [int(row["item_id"][1:]) % 2 == int(row["similar_item_id"][1:]) % 2 for row in nearest]
    assert len(own_taste) == N_ITEMS and all(own_taste)
    before = built.versions()
    built.done("split_interactions", *SPLIT)
    assert train(built, "mult_vae", *SPLIT) == version
    for job in ("build_item_similarity", "build_recommendations"):
        built.done(job, "--model.kind", "mult_vae", "--recommendations.top_k", "4")
    assert built.versions() == before


def _check_lists(built: Workspace, version: str) -> None:
    network = load_network_weights(built.root / "_files" / "models" / version).network
    history = np.zeros((N_USERS, N_ITEMS), bool)
    for row in built.table("interactions").collect():
        history[row["user_idx"], row["item_idx"]] = True
    item = np.nonzero(history)[1]
    indptr = np.concatenate(([0], history.sum(axis=1).cumsum()))
    batch = Batch.from_arrays(np.arange(N_USERS), indptr, item, np.ones(len(item)), N_ITEMS)
    scores = np.where(history, -np.inf, network.scores(batch).numpy())
    users = {row["user_id"]: row["user_idx"] for row in built.table("user_index").collect()}
    items = {row["item_id"]: row["item_idx"] for row in built.table("item_index").collect()}
    lists = built.table("recommendations").orderBy("user_id", "position").collect()
    assert len(lists) == 4 * N_USERS
    assert {row["origin"] for row in lists} == {"model", "fold_in"}, "held-out users are not in training"
    for row in lists:
        place = scores[users[row["user_id"]]]
        assert row["score"] == pytest.approx(place[items[row["item_id"]]], abs=1e-3)
        assert row["score"] == pytest.approx(np.sort(place)[-row["position"]], abs=1e-3)


@pytest.mark.slow
def test_a_network_of_items_writes_both_vector_tables_and_a_list_for_every_user(built: Workspace) -> None:
    version = train(built, "autorec_item", "--models.autorec_item.units", "8", "--models.autorec_item.l2", "1")
    for table, n_rows in (("user_vectors", N_USERS), ("item_vectors", N_ITEMS)):
        assert built.table(table).where(f"model_version = '{version}'").count() == n_rows
    built.done("build_recommendations", "--model.kind", "autorec_item", "--recommendations.top_k", "2")
    assert built.table("recommendations").select("user_id").distinct().count() == N_USERS
    # This network cannot fold in a new listener, so the list holds the nearest items.
    outcome = built.done("build_recommendations", "--model.kind", "autorec_item", "--items", "i00", "i04")
    assert "nearest: the items nearest to these" in outcome.stdout and outcome.rows["recommended"] > 0


def test_missing_inputs_of_a_network_are_reported_by_name(built: Workspace) -> None:
    missing = built.run("train_torch_model", "--model.kind", "mult_vae")
    assert (missing.code, "run write_shards --model.kind mult_vae first" in missing.stderr) == (4, True)
    no_split = built.run("write_shards", "--model.kind", "mult_vae", *SPLIT)
    assert (no_split.code, "run split_interactions first" in no_split.stderr) == (4, True)
    foreign = built.run("train_torch_model", "--model.kind", "als")
    assert (foreign.code, "'als' is not a network" in foreign.stderr) == (2, True)


@pytest.mark.slow
def test_a_last_fit_trains_up_to_the_best_epoch_of_its_parent(built: Workspace) -> None:
    split = ["--split.protocol", "per_user_random", "--split.test_share", "0.2", "--split.validation_share", "0.2"]
    built.done("split_interactions", *split)
    parent = train(built, "mult_vae", *split)
    metrics = built.table("models").where(f"model_version = '{parent}'").collect()[0]["metrics"]
    last = train(built, "mult_vae", *split, "--model.fit", "everything")
    row = built.table("models").where(f"model_version = '{last}'").collect()[0]
    assert (row["split_id"], row["parent_version"]) == (None, parent)
    assert row["metrics"]["epochs"] == metrics["best_epoch"] + 1 < 40
    assert "ndcg@100" not in row["metrics"], "nothing was held out"
    seen = built.table("interactions").count()
    assert (
        built.done("write_shards", *split, "--model.kind", "mult_vae", "--model.fit", "everything").rows["non_zeros"]
        == seen
    )


@pytest.mark.slow
def test_a_trial_of_a_few_steps_writes_no_model(built: Workspace) -> None:
    flags = ["--model.kind", "mult_vae", "--models.mult_vae.epochs", "5", "--models.mult_vae.batch_rows", "20"]
    built.done("write_shards", *flags)
    assert built.done("train_torch_model", *flags, "--training.max_steps", "4").rows["steps"] == 4
    assert built.run("build_recommendations", "--model.kind", "mult_vae").code == 4
    trained = built.done("train_torch_model", *flags)
    assert trained.rows["epochs"] == 5
    assert trained.stderr.count("nothing is measured, because there is no split") == 1 and " nan" not in trained.stderr
    assert built.table("models").collect()[0]["metrics"].keys() == {"epochs", "steps", "fit_seconds"}


@pytest.mark.slow
def test_a_model_without_a_file_is_reported_and_trained_again(built: Workspace) -> None:
    version = train(built, "mult_vae")
    (built.root / "_files" / "models" / version / "weights.safetensors").unlink()
    lists = ("build_recommendations", "--model.kind", "mult_vae", "--recommendations.top_k", "2")
    outcome = built.run(*lists)
    assert outcome.code == 4
    assert "weights.safetensors is missing" in outcome.stderr
    assert "run train_torch_model --model.kind mult_vae again" in outcome.stderr
    assert train(built, "mult_vae") == version
    built.done(*lists)


def test_networks_that_learn_from_ratings_are_refused_where_there_are_none(
    workspace: Workspace, write: Callable[..., Path]
) -> None:
    path = write("plays.csv", "user_id,item_id\nu1,i1\nu1,i2\nu2,i1\n")
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", path)
    workspace.done("build_interactions")
    refused = workspace.run("write_shards", "--model.kind", "autorec_item")
    assert refused.code == 4 and "no pairs with a rating to train on: run ingest_plays" in refused.summary["error"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["is missing", "does not belong there"])
def test_a_folder_with_a_missing_or_extra_shard_is_refused(built: Workspace, fault: str) -> None:
    flags = ["--model.kind", "mult_vae", "--models.mult_vae.epochs", "1"]
    built.done("write_shards", *flags)
    shard = next(built.root.glob("_files/shards/*/train/part-00001.parquet"))
    if fault == "is missing":
        shard.unlink()
    else:
        shard = shard.with_name("part-00777.parquet")
        shard.write_bytes(b"")
    refused = built.run("train_torch_model", *flags)
    assert refused.code == 5 and f"{shard} {fault}" in refused.summary["error"]
    built.done("write_shards", *flags)
    built.done("train_torch_model", *flags)


@pytest.mark.slow
def test_profile_fields_named_in_settings_are_learned(built: Workspace, write: Callable[..., Path]) -> None:
    plain = train(built, "cdae")
    named = train(built, "cdae", "--models.cdae.side_information", "age_group,country")
    assert plain != named
    folder = built.root / "_files" / "models" / named
    assert load_network_weights(folder).network.shape == (N_USERS, N_ITEMS, 0)
    profiles = write("users.csv", "user_id,item_id,country\n" + "".join(f"u{u:02d},i00,c{u % 2}\n" for u in range(60)))
    flags = ["--source.format", "plays", "--source.path", profiles, "--source.columns.country", "country"]
    built.done("ingest_plays", "--source.name", "profiles", *flags)
    again = train(built, "cdae", "--models.cdae.side_information", "age_group,country")
    assert again != named, "the table of users has changed"
    network = load_network_weights(built.root / "_files" / "models" / again).network
    assert network.shape == (N_USERS, N_ITEMS, 2)
    assert network.state_dict()["side.vectors.weight"][1:].abs().sum() > 0
