"""Tests of the pipeline on checkerboard data, where the right recommendations are exact.

Even users play even items, odd users odd ones, and one item of each user is withheld.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.jobs import run_pipeline
from recsys_spark.pipeline import steps as pipeline
from recsys_spark.pipeline.steps import Step, plan_steps, run_steps
from recsys_spark.recommend.names import match_items
from recsys_spark.runtime.job import JobRun, Report
from recsys_spark.storage.schemas import TABLES
from tests.conftest import Workspace
from tests.table_rows import arrow_rows

USERS, ITEMS = 20, 16
ALS = ["--models.als.rank", "4", "--models.als.max_iter", "3", "--models.als.blocks", "1"]
FLAGS = ["--source.format", "plays", "--source.kind", "totals", "--source.columns.play_count", "n"]
FLAGS += ["--source.columns.item_name", "name", "--recommendations.top_k", "3", "--similarity.neighbours", "4", *ALS]
FLAGS += ["--pipeline.report", "false"]


def checkerboard() -> str:
    """Return a CSV in which every user plays the items of its parity except one."""
    rows = ["user_id,item_id,name,n"]
    for user in range(USERS):
        for item in range(user % 2, ITEMS, 2):
            if item != withheld(user):
                rows.append(f"u{user:02d},i{item:02d},Song {item},2")
    return "\n".join(rows) + "\n"


def withheld(user: int) -> int:
    """Return the only item of a user's parity that it has not played."""
    return (user * 2 + user % 2) % ITEMS


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkerboard as a file."""
    path = tmp_path_factory.mktemp("raw") / "plays.csv"
    path.write_text(checkerboard())
    return path


@pytest.fixture(scope="session")
def master(spark: SparkSession, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of the tables of one pipeline run, to be copied."""
    root = tmp_path_factory.mktemp("master") / "tables"
    assert run_pipeline.main(["--tables.root", str(root), "--source.path", str(raw), *FLAGS]) == 0
    return root


@pytest.fixture
def built(workspace: Workspace, master: Path) -> Workspace:
    """Return a workspace with a copy of these tables; Delta tables can be moved."""
    shutil.copytree(master, workspace.root)
    return workspace


def lists(workspace: Workspace, version_of: str = "als") -> dict[str, list[tuple[str, str]]]:
    """Return user -> [(item, origin)] in order, for models of one kind."""
    rows = workspace.table("recommendations").where(F.col("algorithm") == version_of).orderBy("user_id", "position")
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows.collect():
        found.setdefault(row["user_id"], []).append((row["item_id"], row["origin"]))
    return found


def serving(workspace: Workspace) -> dict[str, str]:
    """Return output table -> model version that serves it."""
    rows = workspace.table("models").select("model_version", F.explode("serves").alias("t")).collect()
    return {row["t"]: row["model_version"] for row in rows}


def test_one_run_recommends_what_was_withheld_and_a_second_run_changes_nothing(built: Workspace, raw: Path) -> None:
    found = lists(built)
    assert len(found) == USERS
    for user in range(USERS):
        assert found[f"u{user:02d}"][0] == (f"i{withheld(user):02d}", "model")
    similar = built.table("item_similarity").collect()
    assert all(int(row["item_id"][1:]) % 2 == int(row["similar_item_id"][1:]) % 2 for row in similar)
    assert {row["position"] for row in similar} == {1, 2, 3, 4}
    assert {version.split("-")[0] for version in serving(built).values()} == {"als"}
    before = built.versions()
    again = built.done("run_pipeline", "--source.path", raw, *FLAGS)
    assert built.versions() == before
    assert "Song" in again.stdout, "neighbours by name are shown"


def test_a_new_user_is_folded_in_and_a_user_of_unknown_items_gets_popular_items(
    built: Workspace, write: Callable[..., Path]
) -> None:
    extra = write("more.csv", "user_id,item_id,name,n\nnew,i00,,3\nnew,i02,,1\nunseen,unheard,Unheard,5\n")
    built.done("ingest_plays", "--source.path", extra, *FLAGS)
    built.done("build_interactions")
    model: Any = built.table("models").where("algorithm = 'als'").first()
    built.done("build_recommendations", *FLAGS, "--model.version", model["model_version"])
    found = lists(built)
    assert {origin for _, origin in found["new"]} == {"fold_in"}
    assert all(int(item[1:]) % 2 == 0 and item not in ("i00", "i02") for item, _ in found["new"])
    assert {origin for _, origin in found["unseen"]} == {"popular"}
    assert len(found["unseen"]) == 3 and "unheard" not in dict(found["unseen"])


def test_other_readers_find_every_row_of_every_table(built: Workspace) -> None:
    deltalake, duckdb = pytest.importorskip("deltalake"), pytest.importorskip("duckdb")
    names = sorted(path.parent.name for path in built.root.glob("*/_delta_log"))
    assert {"plays", "interactions", "models", "item_similarity", "recommendations", "job_runs"} <= set(names)
    for name in names:
        expected = arrow_rows(built.table(name).toArrow())
        other = deltalake.DeltaTable(str(built.root / name))
        found = other.to_pyarrow_table()
        assert found.column_names == TABLES[name].schema.fieldNames()
        assert arrow_rows(found) == expected, name
        stream = other.to_pyarrow_dataset().scanner().to_reader()
        duck = duckdb.connect()
        duck.register("stream", stream)
        assert arrow_rows(duck.sql("SELECT * FROM stream").to_arrow_table()) == expected, name
        assert name == "plays_quarantine" or expected


def test_lists_can_hold_seen_items_and_never_denied_ones(built: Workspace, tmp_path: Path) -> None:
    denied = tmp_path / "deny.txt"
    denied.write_text("i00\ni01\nno such item\n")
    allowed = tmp_path / "allow.txt"
    allowed.write_text("i00\ni02\ni03\n")
    flags = [*FLAGS, "--recommendations.filter_seen", "false", "--recommendations.deny_file", denied]
    outcome = built.done("build_recommendations", *flags)
    assert outcome.rows["deny_unknown"] == 1
    found = lists(built)
    items = {item for recommended in found.values() for item, _ in recommended}
    assert items and not items & {"i00", "i01"}
    assert any(int(item[1:]) != withheld(0) and int(item[1:]) % 2 == 0 for item, _ in found["u00"])
    built.done("build_recommendations", *flags, "--recommendations.allow_file", allowed)
    assert {item for recommended in lists(built).values() for item, _ in recommended} == {"i02", "i03"}


def test_one_list_by_name_and_unknown_names(built: Workspace) -> None:
    outcome = built.done("build_recommendations", *FLAGS, "--items", "song  2", "Song 4", "Sing 6")
    assert "model: recommendations of the model" in outcome.stdout
    assert "Song" in outcome.stdout and "Song 2 " not in outcome.stdout
    assert "not found: Sing 6" in outcome.stdout
    assert "no item has the id or name 'Sing 6'" in outcome.stderr and "Song 6" in outcome.stderr
    assert (outcome.rows["items_known"], outcome.rows["items_unknown"]) == (2, 1)
    before = built.versions()
    outcome = built.run("build_recommendations", *FLAGS, "--items", "Nothing of the kind", "Song 100")
    assert outcome.code == 4 and "nearest names" in outcome.stderr and "Song 10" in str(outcome.summary["error"])
    assert outcome.rows == {} and built.versions() == before


def test_the_list_of_one_user_is_that_of_the_table_and_an_unknown_id_is_not_recorded(built: Workspace) -> None:
    before = built.versions()
    outcome = built.done("build_recommendations", *FLAGS, "--user", "u03")
    assert "model: recommendations of the model for the user" in outcome.stdout
    shown = [line.split("│")[2].strip() for line in outcome.stdout.splitlines() if line.startswith("│")]
    assert shown == [f"Song {int(item[1:])}" for item, _ in lists(built)["u03"]] and outcome.rows["recommended"] == 3
    outcome = built.run("build_recommendations", *FLAGS, "--user", "nobody-of-this-name")
    assert outcome.code == 4 and "no user with the id given by query.user (--user)" in outcome.stderr
    assert built.versions() == before, "nothing is written"
    recorded = built.table("job_runs").where("job = 'build_recommendations'").select("params", "error").collect()
    assert len(recorded) == 4 and not any("nobody" in str(row) or "u03" in str(row) for row in recorded)


def test_a_name_of_two_items_is_refused_with_their_ids(built: Workspace, write: Callable[..., Path]) -> None:
    extra = write("more.csv", "user_id,item_id,name,n\nu01,again,SONG  4,1\nu01,Song 6,Another,1\n")
    built.done("ingest_plays", "--source.path", extra, *FLAGS)
    built.done("build_interactions")
    model: Any = built.table("models").where("algorithm = 'als'").first()
    flags = [*FLAGS, "--model.version", model["model_version"]]
    outcome = built.run("build_recommendations", *flags, "--items", "Song 2", "song 4")
    assert outcome.code == 2 and "ambiguous" in outcome.stderr and "item_id" in outcome.stderr
    assert "ambiguous: 2 items have the name 'song 4':\n  i04  Song 4\n  again  SONG  4\n" in outcome.stdout
    assert "song 4" not in outcome.summary["error"].lower(), "the taste of a listener is not recorded"
    outcome = built.done("build_recommendations", *flags, "--items", "i04", "Song 2")
    assert "model: recommendations of the model" in outcome.stdout and outcome.rows["items_known"] == 2
    found = match_items(built.tables(), ["Song 6", "song 6", "i04"])
    index = {row["item_id"]: row["item_idx"] for row in built.table("item_index").collect()}
    expected = [(index["Song 6"], 0), (index["i06"], 0), (index["i04"], 0)]
    assert [(match.item_idx, match.others) for match in found] == expected, "an id counts before a name"


def test_a_list_for_unseen_items_gets_popular_items(built: Workspace, write: Callable[..., Path]) -> None:
    extra = write("more.csv", "user_id,item_id,name,n\nunseen,unheard,Unheard [bold]of,5\n")
    built.done("ingest_plays", "--source.path", extra, *FLAGS)
    built.done("build_interactions")
    model: Any = built.table("models").where("algorithm = 'als'").first()
    flags = [*FLAGS, "--model.version", model["model_version"]]
    outcome = built.done("build_recommendations", *flags, "--items", "unheard [bold]of")
    assert "popular: the most popular items" in outcome.stdout and outcome.rows["recommended"] == 3
    outcome = built.done("build_recommendations", *FLAGS, "--model.kind", "popularity", "--items", "Song 2")
    assert "popular: the most popular items" in outcome.stdout


def test_publishing_moves_all_tables_in_one_commit_and_rolls_back(built: Workspace) -> None:
    first = serving(built)
    other = [*FLAGS, "--models.als.reg_param", "0.2"]
    built.done("train_spark_model", *other)
    outcome = built.run("publish_model", *other)
    assert outcome.code == 4 and "no outputs to publish" in outcome.stderr
    assert serving(built) == first
    built.done("build_item_similarity", *other)
    built.done("build_recommendations", *other)
    assert serving(built) == first, "outputs of a candidate are not served"
    before = built.versions()["models"]
    built.done("publish_model", *other)
    second = serving(built)
    assert built.versions()["models"] == before + 1
    assert set(second) == set(first) and not set(second.values()) & set(first.values())
    retired = built.table("models").where(F.col("retired_at").isNotNull()).collect()
    assert {row["model_version"] for row in retired} == set(first.values())
    built.done("publish_model", "--publish.rollback", "true")
    assert serving(built) == first
    outcome = built.run("publish_model", "--publish.rollback", "true")
    assert outcome.code == 4 and "no earlier version" in outcome.stderr
    built.done("publish_model", *other)
    assert serving(built) == second


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["one user", "one item"])
def test_the_smallest_data(workspace: Workspace, write: Callable[..., Path], shape: str) -> None:
    pairs = [("u", f"i{n}") for n in range(3)] if shape == "one user" else [(f"u{n}", "i") for n in range(3)]
    raw = write("a.csv", "user_id,item_id,name,n\n" + "".join(f"{u},{i},{i},1\n" for u, i in pairs))
    outcome = workspace.run("run_pipeline", "--source.path", raw, *FLAGS)
    # A single item has no neighbours, and no other item is left to recommend: there are no outputs.
    assert outcome.code == (0 if shape == "one user" else 4), outcome.stderr[:2000]
    assert shape == "one user" or "no outputs to publish" in outcome.stderr
    assert workspace.table("recommendations").count() == 0, "everything has been played"
    neighbours = workspace.table("item_similarity").count()
    assert neighbours == (6 if shape == "one user" else 0)


def test_steps_can_be_resumed_and_unknown_ones_are_named(built: Workspace, raw: Path) -> None:
    last = ["--pipeline.from", "publish_model", "--pipeline.report", "true"]
    outcome = built.done("run_pipeline", "--source.path", raw, *FLAGS, *last)
    assert {name.split(".")[0] for name in outcome.rows} == {"publish_model", "build_report"}
    assert f"Report: {built.root}/_files/report/report.html" in outcome.stdout
    outcome = built.run("run_pipeline", "--source.path", raw, *FLAGS, "--pipeline.from", "train")
    assert outcome.code == 2 and "train_spark_model" in outcome.stderr


@pytest.mark.parametrize(
    ("job", "remedy"),
    [
        ("train_spark_model", "build_interactions"),
        ("build_item_similarity", "train_spark_model"),
        ("build_recommendations", "train_spark_model"),
        ("publish_model", "train_spark_model"),
    ],
)
def test_missing_inputs_name_the_job_that_makes_them(workspace: Workspace, job: str, remedy: str) -> None:
    (workspace.root / "plays" / "_delta_log").mkdir(parents=True)
    outcome = workspace.run(job)
    assert outcome.code == 4 and remedy in outcome.stderr


def test_lineage_stands_in_models_and_in_commits(built: Workspace) -> None:
    model: Any = built.table("models").where("algorithm = 'als'").first()
    inputs = json.loads(model["inputs"])
    assert (inputs["interactions"], inputs["item_index"]) == (1, 1)
    metadata = built.tables().commits("item_similarity")[0].metadata
    assert metadata["job"] == "build_item_similarity" and metadata["scope"] == model["model_version"]
    runs = {row["job"] for row in built.table("job_runs").where("status = 'done'").collect()}
    assert {"run_pipeline", "ingest_plays", "train_spark_model", "publish_model"} <= runs


def test_deleted_model_files_are_written_again_by_training(built: Workspace) -> None:
    shutil.rmtree(built.root / "_files")
    before = built.versions()["models"]
    outcome = built.run("build_item_similarity", *FLAGS, "--similarity.neighbours", "2")
    assert outcome.code == 4 and "run train_spark_model --model.kind als again" in outcome.stderr
    built.done("train_spark_model", *FLAGS)
    built.done("build_item_similarity", *FLAGS, "--similarity.neighbours", "2")
    assert {row["position"] for row in built.table("item_similarity").collect()} == {1, 2}
    assert built.versions()["models"] == before


def test_with_a_split_models_are_evaluated_before_outputs_and_the_final_fit() -> None:
    flags = ["--tables.root", "t", "--pipeline.kinds", "als,mult_vae", "--split.protocol", "strong_random"]
    ends = ["build_item_similarity als", "build_recommendations als", "build_item_similarity mult_vae"]
    ends += ["build_recommendations mult_vae", "publish_model als", "build_report"]
    training = ["train_spark_model als", "write_shards mult_vae", "train_torch_model mult_vae"]
    evaluated = ["ingest_plays", "build_interactions", "split_interactions", *training, "evaluate"]
    steps = [str(step) for step in plan_steps(load_config(["--source.path", "p", "--source.format", "anime", *flags]))]
    assert steps == [*evaluated, *ends]
    everything = load_config([*flags, "--source.path", "p", "--source.format", "anime", "--pipeline.final_fit", "true"])
    steps = [str(step) for step in plan_steps(everything)]
    assert steps == [*evaluated, *[f"{step} everything" for step in training], *ends]


def test_similar_items_from_shared_users_are_one_version_and_published_by_themselves() -> None:
    flags = ["--tables.root", "t", "--source.path", "p", "--source.format", "plays", "--pipeline.kinds", "als,lsa"]
    flags += ["--similarity.method", "random_walk", "--pipeline.from", "build_item_similarity"]
    lists = ["build_recommendations als", "build_recommendations lsa", "publish_model als"]
    ends = [*lists, "publish_model item_knn", "build_report"]
    assert [str(step) for step in plan_steps(load_config(flags))] == ["build_item_similarity item_knn", *ends]
    last = [*flags, "--split.protocol", "strong_random", "--pipeline.final_fit", "true"]
    both = ["build_item_similarity item_knn", "build_item_similarity item_knn everything"]
    assert [str(step) for step in plan_steps(load_config(last))] == [*both, *ends]


def test_gender_steps_come_last_and_use_a_kind_with_user_vectors() -> None:
    flags = ["--tables.root", "t", "--source.path", "p", "--source.format", "plays", "--pipeline.gender", "true"]
    # The report comes after them.

    def steps(*more: str) -> list[str]:
        planned = [str(step) for step in plan_steps(load_config([*flags, *more]))]
        first = next(place for place, step in enumerate(planned) if step.startswith("train_gender_model"))
        return planned[first:]

    gender_steps = ["train_gender_model als", "predict_gender gender"]
    assert steps("--pipeline.kinds", "popularity,als") == [*gender_steps, "publish_model gender", "build_report"]
    evaluated = steps("--pipeline.kinds", "als", "--split.protocol", "strong_random")
    assert evaluated == [*gender_steps, "evaluate_gender als", "publish_model gender", "build_report"]
    # EASE has no user vectors: the features are the items that users played.
    ends = ["predict_gender gender", "publish_model gender", "build_report"]
    assert steps("--pipeline.kinds", "ease") == ["train_gender_model", *ends]


def test_lists_and_genders_may_come_from_different_kinds() -> None:
    flags = ["--tables.root", "t", "--pipeline.kinds", "als,song_autoencoder", "--pipeline.gender", "true"]
    chosen = ["--pipeline.list_kinds", "als", "--pipeline.gender_kind", "song_autoencoder"]
    training = ["train_spark_model als", "write_shards song_autoencoder", "train_torch_model song_autoencoder"]
    lists = ["build_item_similarity als", "build_recommendations als", "publish_model als"]
    genders = ["train_gender_model song_autoencoder", "predict_gender gender", "publish_model gender"]
    expected = ["generate_sample", "ingest_plays", "build_interactions", *training, *lists, *genders, "build_report"]
    assert [str(step) for step in plan_steps(load_config([*flags, *chosen]))] == expected
    assert [str(step) for step in plan_steps(load_config(["--config", "conf/local.yaml"]))] == expected
    with pytest.raises(ConfigError) as caught:
        plan_steps(load_config([*flags, "--pipeline.list_kinds", "als,ease", "--pipeline.gender_kind", "lsa"]))
    assert str(caught.value).splitlines() == [
        "pipeline.list_kinds: 'ease' is not one of pipeline.kinds (als, song_autoencoder)",
        "pipeline.gender_kind: 'lsa' is not one of pipeline.kinds (als, song_autoencoder)",
    ]


def test_too_few_profiles_skip_the_gender_steps(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(["--tables.root", "t", "--source.path", "p", "--source.format", "plays"])
    run, started = JobRun(spark, config, None, Report("run_pipeline", "r")), []  # type: ignore[arg-type]

    def start(_: SparkSession, job: str, __: BaseConfig) -> Report:
        started.append(job)
        return Report(job, "r")

    monkeypatch.setattr(pipeline, "run_job", start)
    monkeypatch.setattr(pipeline, "_step_config", lambda config, *_: config)
    steps = [Step("publish_model", "als"), Step("train_gender_model", "als"), Step("predict_gender", "gender")]
    steps += [Step("publish_model", "gender"), Step("build_report")]
    for enough, expected in ((False, [steps[0], steps[-1]]), (True, steps)):
        started.clear()
        monkeypatch.setattr(pipeline, "has_enough_labels", lambda *_, answer=enough: answer)
        run_steps(run, steps)
        assert started == [step.job for step in expected]


@pytest.mark.parametrize(("predictions", "published"), [(0, False), (3, True)])
def test_a_pipeline_without_users_to_predict_for_skips_the_publication_of_genders(
    predictions: int, published: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config(["--tables.root", "t", "--source.path", "p", "--source.format", "plays"])
    run, started = JobRun(None, config, None, Report("run_pipeline", "r")), []  # type: ignore[arg-type]

    def start(_: SparkSession, job: str, __: BaseConfig) -> Report:
        started.append(job)
        return Report(job, "r", rows={"predictions": predictions} if job == "predict_gender" else {})

    monkeypatch.setattr(pipeline, "run_job", start)
    monkeypatch.setattr(pipeline, "_step_config", lambda config, *_: config)
    monkeypatch.setattr(pipeline.log.parent, "propagate", True)
    steps = [Step("publish_model", "als"), Step("predict_gender", "gender"), Step("evaluate_gender", "als")]
    run_steps(run, [*steps, Step("publish_model", "gender")])
    assert started == [*[step.job for step in steps], *(["publish_model"] if published else [])]
    assert ("publish_model gender skipped" in caplog.text) is not published


@pytest.mark.slow
def test_from_raw_files_to_a_published_last_fit_that_passed_the_gate(workspace: Workspace, raw: Path) -> None:
    split = ["--split.protocol", "per_user_random", "--split.test_share", "0.15", "--pipeline.final_fit", "true"]
    outcome = workspace.done("run_pipeline", "--source.path", raw, *FLAGS, *split)
    assert "Accuracy metrics" in outcome.stdout
    (row,) = [r for r in workspace.table("models").collect() if "recommendations" in r["serves"]]
    assert row["split_id"] is None and row["parent_version"].startswith("als-")
    record = json.loads(row["gate"])
    assert record["verdict"] == "passed" and record["judged_version"] == row["parent_version"]
    assert record["candidate"] > record["popularity"]
    before = workspace.versions()
    workspace.done("run_pipeline", "--source.path", raw, *FLAGS, *split)
    assert workspace.versions() == before
