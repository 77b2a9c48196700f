"""Jobs that record what they did in MLflow, on an SQLite store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.storage.schemas import TABLES
from tests.conftest import Workspace

mlflow = pytest.importorskip("mlflow")

PLAYS = "user_id,item_id\n" + "".join(f"u{user},i{item}\n" for user in range(4) for item in range(user, 4))


def test_a_training_has_a_run_and_the_alias_follows_publication_and_rollback(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "plays.csv").write_text(PLAYS)
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", tmp_path / "plays.csv")
    workspace.done("build_interactions")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    flags = ("--mlflow.tracking_uri", uri)
    trained = workspace.done("train_spark_model", "--model.kind", "popularity", *flags)
    version = trained.summary["model_version"]
    workspace.done("train_spark_model", "--model.kind", "popularity", *flags)
    client: Any = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("recsys_spark").experiment_id
    (run,) = client.search_runs([experiment])
    assert (
        run.data.tags["recsys.model_version"] == version and run.data.tags["recsys.run_id"] == trained.summary["run_id"]
    )
    assert run.data.metrics["fit_seconds"] > 0 and run.data.params["seed"] == "42"

    tables, later = workspace.tables(), datetime.now(UTC) + timedelta(days=1)
    second = "als-0123456789ab"
    row: tuple[Any, ...] = (second, "als", later, "{}", "{}", None, None, {}, None, "models/none", [], None, None, None)
    tables.append("models", workspace.spark.createDataFrame([row], TABLES["models"].schema))
    lists = [(name, name.partition("-")[0], "u0", 1, "i0", 1.0, "model") for name in (version, second)]
    tables.append("recommendations", workspace.spark.createDataFrame(lists, TABLES["recommendations"].schema))

    def serving(alias: str = "serving") -> str:
        found = client.get_model_version_by_alias("recsys_spark.recommendations", alias)
        return str(found.tags["recsys.model_version"])

    workspace.done("publish_model", "--model.version", version, *flags)
    assert serving() == version
    # Published while the server is off; the next publication catches up.
    workspace.done("publish_model", "--model.version", second, "--mlflow.tracking_uri", "http://127.0.0.1:1")
    assert serving() == version
    workspace.done("publish_model", "--model.version", second, *flags)
    assert (serving(), serving("previous")) == (second, version)
    workspace.done("publish_model", "--publish.rollback", "true", *flags)
    assert serving() == version
    assert client.get_registered_model("recsys_spark.recommendations").aliases.keys() == {"serving"}
