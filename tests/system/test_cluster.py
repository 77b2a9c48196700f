"""Tests of the wheel on a standalone cluster.

The whole pipeline runs by spark-submit; an executor is killed during training.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.jobs import run_pipeline
from tests.clusters import SPARK_HOME, Cluster, standalone_cluster
from tests.processes import executors, wait_until
from tests.table_rows import rows_as_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

ROOT = Path(__file__).parents[2]
SAMPLE = ["--sample.users", "300", "--sample.items", "80", "--sample.rows", "6000"]
ALS = ["--models.als.rank", "8", "--models.als.blocks", "2"]
RUN_COLUMNS = ("run_id", "ingested_at", "updated_at", "first_seen_at", "created_at")
COMPARED = ("plays", "users", "items", "user_index", "item_index", "interactions")


@dataclass
class Submitter:
    """Submission of jobs of an installed wheel to a cluster."""

    cluster: Cluster
    site: Path

    def start(self, job: str, root: Path, log: Path, *flags: str) -> "subprocess.Popen[bytes]":
        """Start a job in its own process; its output goes to `log`.

        spark-submit merges stdout and stderr of Python.
        """
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.cluster.master]
        command += ["--properties-file", str(ROOT / "conf" / "spark-standalone.conf"), "--executor-memory", "1g"]
        command += ["--conf", f"spark.executorEnv.PYTHONPATH={self.site}", "--driver-memory", "1g"]
        command += [str(self.site / "recsys_spark" / "jobs" / f"{job}.py"), "--tables.root", str(root), *flags]
        environment = {**self.cluster.environment(), "PYTHONPATH": str(self.site)}
        with log.open("wb") as out:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def done(self, job: str, root: Path, log: Path, *flags: str) -> None:
        """Run a job to its end and check that it succeeds."""
        assert self.start(job, root, log, *flags).wait(900) == 0, log.read_text()[-3_000:]


@pytest.fixture(scope="module")
def submitter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitter]:
    """Yield a cluster of two workers of one core, with the wheel of this checkout.

    The wheel is installed in a folder outside the checkout.
    """
    folder = tmp_path_factory.mktemp("cluster")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    with standalone_cluster(folder) as cluster:
        yield Submitter(cluster, folder / "site")


def rows(spark: SparkSession, table: Path) -> list[str]:
    """Return every row as text, sorted, without the columns of the run."""
    return rows_as_text(spark.read.format("delta").load(str(table)).drop(*RUN_COLUMNS))


def test_the_pipeline_on_a_cluster_gives_the_tables_of_one_machine(
    submitter: Submitter, spark: SparkSession, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    flags = [*SAMPLE, *ALS, "--source.path", str(tmp_path / "raw")]
    submitter.done("generate_sample", remote, tmp_path / "sample.log", *flags)
    submitter.done("run_pipeline", remote, tmp_path / "pipeline.log", *flags)
    assert run_pipeline.main(["--tables.root", str(local), *flags]) == 0
    for name in COMPARED:
        assert rows(spark, remote / name) == rows(spark, local / name), name
    lists = [spark.read.format("delta").load(str(root / "recommendations")) for root in (remote, local)]
    assert lists[0].count() == lists[1].count() > 0
    # Sums are in another order, so that a few recommendations may differ.
    shared = lists[0].join(lists[1], ["user_id", "item_id"]).count()
    assert shared > 0.98 * lists[0].count()


def test_an_executor_killed_in_mid_als_is_replaced_and_the_job_finishes(
    submitter: Submitter, spark: SparkSession, tmp_path: Path
) -> None:
    root, log = tmp_path / "tables", tmp_path / "als.log"
    flags = [*SAMPLE, "--source.path", str(tmp_path / "raw")]
    for job in ("generate_sample", "ingest_plays", "build_interactions"):
        submitter.done(job, root, tmp_path / f"{job}.log", *flags)
    training = submitter.start("train_spark_model", root, log, "--model.kind", "als", "--models.als.max_iter", "100")
    checkpoints = root / "_files" / "checkpoints"
    wait_until(lambda: training.poll() is not None or any(checkpoints.rglob("part-*")))
    assert training.poll() is None, log.read_text()[-3_000:]
    os.kill(executors()[0], signal.SIGKILL)
    assert training.wait(900) == 0, log.read_text()[-3_000:]
    trained = spark.read.format("delta").load(str(root / "user_vectors"))
    assert trained.count() == trained.select("user_idx").distinct().count() == 300


def test_block_als_survives_a_lost_executor_with_the_same_vectors(
    submitter: Submitter, spark: SparkSession, tmp_path: Path
) -> None:
    """The first training is undisturbed, the second one loses an executor between two passes."""
    raw = ["--source.path", str(tmp_path / "raw")]
    training = ["--model.kind", "als", "--models.als.solver", "block_cg", "--models.als.blocks", "4"]
    training += ["--models.als.rank", "32", "--models.als.max_iter", "30"]
    roots = tmp_path / "whole", tmp_path / "disturbed"
    submitter.done("generate_sample", roots[0], tmp_path / "sample.log", *SAMPLE, *raw)
    for root in roots:
        for job in ("ingest_plays", "build_interactions"):
            submitter.done(job, root, tmp_path / f"{root.name}-{job}.log", *SAMPLE, *raw)
    submitter.done("train_spark_model", roots[0], tmp_path / "whole.log", *training)
    log = tmp_path / "disturbed.log"
    process = submitter.start("train_spark_model", roots[1], log, *training)
    passes = roots[1] / "_files" / "models"
    wait_until(lambda: process.poll() is not None or any(passes.rglob("pass-0004-*")))
    assert process.poll() is None, log.read_text()[-3_000:]
    os.kill(executors()[0], signal.SIGKILL)
    assert process.wait(900) == 0, log.read_text()[-3_000:]
    for table in ("user_vectors", "item_vectors"):
        whole, disturbed = (spark.read.format("delta").load(str(root / table)) for root in roots)
        assert rows_as_text(disturbed) == rows_as_text(whole)
        assert whole.count() > 0
