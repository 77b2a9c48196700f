"""Jobs through a Spark Connect server, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.clusters import connect_server
from tests.conftest import Workspace
from tests.table_rows import rows_as_text

pytestmark = pytest.mark.timeout(1_500)

ROOT = Path(__file__).parents[2]
SAMPLE = ["--sample.users", "300", "--sample.items", "80", "--sample.rows", "6000"]
ALS = ["--models.als.rank", "8", "--models.als.max_iter", "3", "--models.als.blocks", "2"]
NETWORK = ["--models.song_autoencoder.units", "8", "--models.song_autoencoder.epochs", "2", "--training.threads", "1"]
RUN_COLUMNS = ("run_id", "ingested_at", "updated_at", "first_seen_at", "created_at", "source_file", "file_modified_at")
COMPARED = ("plays", "users", "items", "user_index", "item_index", "interactions")
Remote = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Yield a function that runs a job through the server: it returns exit code, report and stderr."""
    pytest.importorskip("grpc_status")
    with connect_server(tmp_path_factory.mktemp("connect")) as address:
        environment = {**os.environ, "SPARK_REMOTE": address}

        def run(job: str, *flags: str) -> tuple[int, dict[str, Any], str]:
            command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *flags]
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
            return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr

        yield run


def test_plays_are_ingested_once_and_limits_are_named(
    remote: Remote, spark: SparkSession, tmp_path: Path, write: Callable[..., Path]
) -> None:
    root = ["--tables.root", str(tmp_path / "tables")]
    lines = ["user_id,item_id", *[f"u{user},s{song}" for user in range(8) for song in range(6) if (user + song) % 3]]
    file = write("plays.csv", "\n".join([*lines, ",s1"]) + "\n")
    ingest = ["--source.format", "plays", "--source.path", str(file), "--source.max_quarantine_share", "0.5"]
    for new in (1, 0):
        code, report, stderr = remote("ingest_plays", *root, *ingest)
        assert (code, report["rows"]["files_new"]) == (0, new), stderr
    rows = spark.read.format("delta").load(str(tmp_path / "tables" / "plays"))
    assert rows.count() == rows.select("user_id", "item_id").distinct().count() == len(lines) - 1
    assert spark.read.format("delta").load(str(tmp_path / "tables" / "plays_quarantine")).count() == 1
    assert remote("build_interactions", *root, "--spark.cores", "2")[0] == 0
    code, _, stderr = remote("train_spark_model", *root, *ALS, "--spark.max_connect_model_bytes", "100")
    assert code == 2 and "the factors of als take 448 bytes" in stderr and "spark-submit" in stderr


@pytest.mark.slow
def test_the_pipeline_gives_the_tables_of_a_classic_session(
    remote: Remote, workspace: Workspace, tmp_path: Path
) -> None:
    pipeline = ["--pipeline.kinds", "als,song_autoencoder", "--pipeline.list_kinds", "als", "--pipeline.gender", "true"]
    flags = [*SAMPLE, *ALS, *NETWORK, *pipeline, "--gender.min_class_users", "5", "--source.format", "sample"]
    raw = ["--files.root"]
    workspace.done("run_pipeline", *flags, *raw, str(tmp_path / "files"))
    root = tmp_path / "remote"
    code, report, stderr = remote("run_pipeline", "--tables.root", str(root), *raw, str(tmp_path / "others"), *flags)
    assert code == 0, stderr[-3_000:]
    assert report["rows"]["build_recommendations.als.users_model"] == 300
    for name in COMPARED:
        here, there = (
            workspace.spark.read.format("delta").load(str(place / name)).drop(*RUN_COLUMNS)
            for place in (workspace.root, root)
        )
        assert rows_as_text(here) == rows_as_text(there), name
