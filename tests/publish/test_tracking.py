"""Records in MLflow on an SQLite store: runs, curves, registered models, aliases, servers that do not answer."""

import json
import logging
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.publish import mlflow_store
from recsys_spark.publish.mlflow_store import PREVIOUS, SERVING, MlflowStore
from recsys_spark.publish.model_record import ModelRecord, metric_name, model_record
from recsys_spark.publish.tracking import attempt, pipeline_run
from recsys_spark.runtime.input_checks import check_tracking
from recsys_spark.runtime.job import JobRun, Report

mlflow = pytest.importorskip("mlflow")

NOW = datetime(2025, 1, 1, tzinfo=UTC)
MILLISECONDS = 1_735_689_600_000
EPOCHS: list[dict[str, Any]] = [
    {"epoch": 0, "loss": 0.7, "metric": 0.1, "metric_name": "ndcg@100", "seconds": 2.0},
    {"epoch": 1, "loss": 0.5, "metric": None, "metric_name": "ndcg@100", "seconds": 2.5},
    {"epoch": 2, "loss": 0.4, "metric": 0.3, "metric_name": "ndcg@100", "seconds": 2.5},
]


def evaluation(value: float, metric: str = "ndcg@10") -> dict[str, Any]:
    return {"split_id": "strong-1", "part": "test", "metric": metric, "value": value, "created_at": NOW}


def record(version: str = "cdae-1", *evaluations: dict[str, Any], **row: Any) -> ModelRecord:
    """Return the record of a row of models."""
    params = {
        "settings": {"width": 8, "average": None, "bm25": {"k1": 1.2}, "layers": [4, 2]},
        "seed": 42,
        "fit": "train",
    }
    columns = {
        **{"model_version": version, "algorithm": version.partition("-")[0], "created_at": NOW},
        **{
            "params": json.dumps(params),
            "inputs": '{"interactions": 3}',
            "split_id": "strong-1",
            "parent_version": None,
        },
        **{"metrics": {"ndcg@100": 0.3, "loss": float("nan")}, "selection_metric": "ndcg@100", "artifact": "models/x"},
        **{"serves": [], "published_at": None, "retired_at": None, "gate": None},
    }
    return model_record(columns | row, evaluations, EPOCHS)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with MLflow's tables, whose creation takes seconds.

    It must leave the handlers of logs alone.
    """
    file, handler = tmp_path_factory.mktemp("mlflow") / "mlflow.db", logging.NullHandler()
    logging.getLogger().addHandler(handler)
    MlflowStore(configuration(file, "first").mlflow, "r0")
    assert handler in logging.getLogger().handlers
    logging.getLogger().removeHandler(handler)
    assert logging.getLogger("recsys_spark.jobs").isEnabledFor(logging.WARNING)
    return file


@pytest.fixture
def config(database: Path, request: pytest.FixtureRequest) -> BaseConfig:
    """Return a configuration with an experiment and registered models of the test."""
    return configuration(database, request.node.name)


def configuration(database: Path, name: str, *flags: str) -> BaseConfig:
    own = ["--tables.root", str(database.parent), "--mlflow.tracking_uri", f"sqlite:///{database}"]
    return load_config([*own, "--mlflow.experiment", name, "--mlflow.registered_model_prefix", f"{name}.", *flags], {})


def client(config: BaseConfig) -> Any:
    uri = config.mlflow.tracking_uri
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(config: BaseConfig) -> list[Any]:
    """Return the runs of the experiment, oldest first."""
    found = client(config)
    experiment = found.get_experiment_by_name(config.mlflow.experiment).experiment_id
    return list(found.search_runs([experiment], order_by=["attributes.start_time ASC"]))


def aliases(config: BaseConfig, output: str) -> dict[str, str]:
    """Return alias -> model version of a registered model."""
    found, name = client(config), f"{config.mlflow.registered_model_prefix}{output}"
    numbers = found.get_registered_model(name).aliases
    return {alias: found.get_model_version(name, str(n)).tags["recsys.model_version"] for alias, n in numbers.items()}


def test_a_record_has_settings_values_and_curves_but_no_nan() -> None:
    one = record("cdae-1", evaluation(0.25))
    assert one.params == {
        **{"width": "8", "average": "null", "bm25.k1": "1.2", "layers": "[4, 2]", "seed": "42", "fit": "train"},
    }
    values = {(point.name, point.step): point.value for point in one.points}
    assert values[("ndcg_at_100", 0)] == 0.3 and values[("test/ndcg_at_10", 0)] == 0.25
    assert [values[("epoch/loss", step)] for step in range(3)] == [0.7, 0.5, 0.4]
    assert ("loss", 0) not in values, "NaN"
    assert ("epoch/ndcg_at_100", 1) not in values and values[("epoch/ndcg_at_100", 2)] == 0.3
    assert {point.time for point in one.points} == {MILLISECONDS}
    assert one.tags["recsys.data.interactions"] == "3" and "recsys.parent_version" not in one.tags
    assert json.loads(json.dumps(one.card))["created_at"] == NOW.isoformat() and "gate" not in one.card
    assert metric_name("hit_rate@10:ü") == "hit_rate_at_10__"


def test_facts_of_a_publication_do_not_change_a_record() -> None:
    assert record().digest == record(serves=["recommendations"], published_at=NOW, gate="{}").digest
    assert record().digest != record("cdae-1", evaluation(0.25)).digest
    both = evaluation(0.1), evaluation(0.2, "recall@10")
    assert record("cdae-1", *both).digest == record("cdae-1", *reversed(both)).digest


def test_a_version_has_one_run_however_often_it_is_recorded(config: BaseConfig) -> None:
    for number in range(3):
        MlflowStore(config.mlflow, f"r{number}").log_model(record("cdae-1", evaluation(0.25)), renew=number == 1)
    (run,) = runs(config)
    assert (run.info.run_name, run.info.status) == ("cdae-1", "FINISHED")
    assert run.data.params["width"] == "8" and run.data.tags["recsys.run_id"] == "r0"
    assert run.data.metrics["test/ndcg_at_10"] == 0.25
    curve = client(config).get_metric_history(run.info.run_id, "epoch/loss")
    assert [(point.step, point.value) for point in curve] == [(0, 0.7), (1, 0.5), (2, 0.4)]
    card = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/model/card.json")
    assert card["model_version"] == "cdae-1" and card["params"]["settings"]["layers"] == [4, 2]


def test_a_killed_record_is_completed_in_its_run_and_evaluations_are_added(
    config: BaseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_dict", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            MlflowStore(config.mlflow, "r1").log_model(record(), renew=False)
    MlflowStore(config.mlflow, "r2").log_model(record(), renew=False)
    (run,) = runs(config)
    assert run.info.status == "FINISHED" and "test/ndcg_at_10" not in run.data.metrics
    MlflowStore(config.mlflow, "r3").log_model(record("cdae-1", evaluation(0.5)))
    # A training that finds its model trained does not take the evaluation away.
    MlflowStore(config.mlflow, "r4").log_model(record(), renew=False)
    (run,) = runs(config)
    assert run.data.metrics["test/ndcg_at_10"] == 0.5
    assert len(client(config).get_metric_history(run.info.run_id, "epoch/loss")) == 3
    card = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/model/card.json")
    assert [each["value"] for each in card["evaluations"]] == [0.5]


def test_aliases_follow_publications_and_rollbacks(config: BaseConfig, database: Path) -> None:
    store = MlflowStore(config.mlflow, "r1")
    for _ in range(2):
        store.set_aliases("recommendations", record("als-1"), None)
        assert aliases(config, "recommendations") == {SERVING: "als-1"}
    store.set_aliases("recommendations", record("cdae-2"), record("als-1"))
    assert aliases(config, "recommendations") == {SERVING: "cdae-2", PREVIOUS: "als-1"}
    store.set_aliases("recommendations", record("als-1"), None)
    assert aliases(config, "recommendations") == {SERVING: "als-1"}
    name = f"{config.mlflow.registered_model_prefix}recommendations"
    versions = client(config).search_model_versions(f"name = '{name}'")
    assert sorted(found.tags["recsys.model_version"] for found in versions) == ["als-1", "cdae-2"]
    # Nothing to load by a flavour of MLflow, and so no pickle: the source is a folder with one JSON file.
    files = {file.name for file in (database.parent / "mlflow-artifacts").rglob("*") if file.is_file()}
    assert {file for file in files if file not in ("card.json", "configuration.json")} == set()
    assert all(found.source.endswith("/artifacts/model") for found in versions)


def pipeline(config: BaseConfig, run_id: str) -> JobRun:
    """Return the run of a pipeline, without a session."""
    return JobRun(None, config, None, Report("run_pipeline", run_id))  # type: ignore[arg-type]


def test_models_are_nested_in_their_pipeline_and_an_unfinished_one_is_continued(config: BaseConfig) -> None:
    with pytest.raises(RuntimeError), pipeline_run(pipeline(config, "r1")) as nested:
        MlflowStore(nested.config.mlflow, "r2").log_model(record("als-1"))
        raise RuntimeError("the next step failed")
    with pipeline_run(pipeline(config, "r3")) as nested:
        nested.count(users=7)
        for version in ("als-1", "cdae-2"):
            MlflowStore(nested.config.mlflow, "r4").log_model(record(version))
    found = {run.info.run_name: run for run in runs(config)}
    assert sorted(found) == ["als-1", "cdae-2", "r1"]
    parent = found["r1"]
    assert parent.info.status == "FINISHED" and parent.data.metrics["users"] == 7
    assert {found[name].data.tags["mlflow.parentRunId"] for name in ("als-1", "cdae-2")} == {parent.info.run_id}
    with pipeline_run(pipeline(config, "r5")):
        pass
    assert sorted(run.info.run_name for run in runs(config)) == ["als-1", "cdae-2", "r1", "r5"]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port that no server listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_does_not_answer_is_a_warning_and_the_steps_do_not_wait_for_it(
    closed_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://ada:s3cret@127.0.0.1:{closed_port}"
    config = load_config(["--tables.root", str(tmp_path), "--mlflow.tracking_uri", uri], {})
    with caplog.at_level(logging.WARNING, "recsys_spark"):
        assert attempt(config, "als-1", lambda store: store.log_model(record()), "r1") is None
        with pipeline_run(pipeline(config, "r1")) as nested:
            assert nested.config.mlflow.tracking_uri is None
    ours = [entry.getMessage() for entry in caplog.records if entry.name == "recsys_spark.publish.tracking"]
    assert len(ours) == 2 and "did not record als-1" in ours[0] and "mlflow.tracking_uri" in ours[0]
    assert "s3cret" not in "".join(ours)


def test_without_an_address_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store.MlflowStore, "__init__", lambda *_: pytest.fail("opened"))
    config = load_config(["--tables.root", str(tmp_path)], {})
    run = pipeline(config, "r1")
    with pipeline_run(run) as same:
        assert same is run
    check_tracking(config)


def test_a_missing_library_is_named_before_spark_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_spark.runtime.input_checks.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"mlflow is not installed: run .*, or unset it"):
        check_tracking(configuration(tmp_path / "mlflow.db", "x"))


def test_nothing_is_written_where_the_job_started(
    config: BaseConfig, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    MlflowStore(config.mlflow, "r1").log_model(record())
    assert list(tmp_path.iterdir()) == []
    (run,) = runs(config)
    assert run.info.artifact_uri.startswith(f"file://{database.parent}/mlflow-artifacts/")
