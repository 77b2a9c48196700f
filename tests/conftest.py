"""Fixtures: one Spark session, a new root for each test, and jobs by their command line."""

import os

# Before numpy and torch are imported: on matrices of a few rows, threads that wait for each other cost a hundred times
# the computation when processes share two cores.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.runtime.spark_settings import FIRST_COMPILER, SMALL_DATA
from recsys_spark.storage.tables import Tables
from tests.matrices import make_matrix

__all__ = ["make_matrix"]

# Fixtures whose tests start Spark in the process of the tests.
SPARK_FIXTURES = {"spark", "workspace"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use a Spark session, before tests are selected by marks."""
    for item in items:
        if SPARK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("spark")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Return a local[2] session with Delta, created on first use."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    warehouse = tmp_path_factory.mktemp("warehouse")
    builder = SparkSession.builder.master("local[2]")
    # Test data are small: compilation costs half the CPU time. Tests that start a job as a process of its own run the
    # generated code.
    for key, value in SMALL_DATA.items():
        builder = builder.config(key, value)
    session = (
        builder.appName("recsys_spark tests")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.driver.extraJavaOptions", FIRST_COMPILER)
        # The context inspects the call stack for every column, for messages that tests do not need.
        .config("spark.sql.dataFrameQueryContext.enabled", "false")
        .config("spark.driver.memory", "3g")
        .config("spark.python.daemon.module", "recsys_spark.inference.worker_daemon")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(warehouse))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@dataclass
class Outcome:
    """Exit code, report and output of a job."""

    code: int
    summary: dict[str, Any]
    stdout: str
    stderr: str

    @property
    def rows(self) -> dict[str, int]:
        """Return the row counts of the report."""
        counts: dict[str, int] = self.summary["rows"]
        return counts


@dataclass
class Workspace:
    """Root of tables, with calls of jobs on it."""

    spark: SparkSession
    root: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, job: str, *arguments: object) -> Outcome:
        """Run a job with command-line arguments."""
        self.capsys.readouterr()
        module = importlib.import_module(f"recsys_spark.jobs.{job}")
        code = module.main(["--tables.root", str(self.root), *map(str, arguments)])
        captured = self.capsys.readouterr()
        assert "does not declare" not in captured.err
        last = captured.out.strip().splitlines()[-1]
        return Outcome(code, json.loads(last), captured.out, captured.err)

    def done(self, job: str, *arguments: object) -> Outcome:
        """Run a job that must succeed."""
        outcome = self.run(job, *arguments)
        assert outcome.code == 0, outcome.stderr[:2000]
        return outcome

    def ingest_ratings(self, path: Path) -> None:
        """Ingest a CSV of user_id, item_id, rating and played_at and build interactions."""
        columns = ["--source.columns.rating", "rating", "--source.columns.played_at", "played_at"]
        self.done(
            "ingest_plays", "--source.format", "plays", "--source.kind", "ratings", "--source.path", path, *columns
        )
        self.done("build_interactions")

    def table(self, name: str) -> DataFrame:
        """Read a table as an external reader does."""
        return self.spark.read.format("delta").load(str(self.root / name))

    def tables(self) -> Tables:
        """Return the tables in a new run."""
        return Tables(self.spark, load_config(["--tables.root", str(self.root)], {}), "test-run", "test")

    def versions(self) -> dict[str, int]:
        """Return the version of each table except job_runs, which every run extends."""
        tables = self.tables()
        names = sorted(p.parent.name for p in self.root.glob("*/_delta_log"))
        return {name: tables.version(name) for name in names if name != "job_runs"}


@pytest.fixture
def workspace(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Return a workspace with an empty root."""
    return Workspace(spark, tmp_path / "tables", capsys)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a raw file below the folder of the test."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
