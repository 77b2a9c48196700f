"""Tests of jobs that are killed after each of their commits and run again.

Their tables must equal those of an uninterrupted run.
"""

import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.processes import SMALL
from tests.table_rows import rows_as_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

# Kills its process group, JVM included, after the n-th commit of any table.
RUNNER = """
import importlib, os, signal, sys
from contextlib import contextmanager
from recsys_spark.storage.tables import Tables

job, number = sys.argv[1], int(sys.argv[2])
commit, done = Tables._commit, []

@contextmanager
def dying(self, *arguments, **named):
    with commit(self, *arguments, **named) as within:
        yield within
    done.append(1)
    if len(done) == number:
        os.killpg(0, signal.SIGKILL)

Tables._commit = dying
sys.exit(importlib.import_module(f"recsys_spark.jobs.{job}").main(sys.argv[3:]))
"""
SPLIT = ["--split.protocol", "per_user_random"]
SAMPLE = ["--sample.users", "120", "--sample.items", "60", "--sample.rows", "3000"]
ALS = ["--model.kind", "als", "--models.als.rank", "4", "--models.als.max_iter", "3", "--models.als.blocks", "2"]
GENDER = ["--gender.reg_params", "0.01", "--gender.inner_folds", "2", "--gender.max_iter", "10"]
FLAGS = [*SPLIT, *SAMPLE, *GENDER, "--publish.metric", "ndcg@10", "--publish.tolerance", "0.9"]
NETWORK = ["--model.kind", "mult_vae", "--models.mult_vae.epochs", "2", "--models.mult_vae.batch_rows", "20"]
# In the order of their inputs.
CHAIN: tuple[tuple[str, list[str]], ...] = (
    ("split_interactions", []),
    ("train_spark_model", ALS),
    ("evaluate", []),
    ("build_item_similarity", ALS),
    ("build_recommendations", ALS),
    ("publish_model", ALS),
    ("train_gender_model", ALS),
    ("predict_gender", []),
    ("evaluate_gender", [*ALS, "--gender.evaluated", "tf_idf", "--gender.folds", "2"]),
    ("suppress_users", ["--suppress.key", "a-key-of-tests-16+"]),
    ("write_shards", NETWORK),
    ("train_torch_model", NETWORK),
)
# Jobs that write files atomically, and no table.
FILE_JOBS = ("write_shards",)
# Columns of the run that wrote a row, and of its times and versions, which may differ.
RUN_COLUMNS = ("run_id", "ingested_at", "updated_at", "created_at", "evaluated_at", "published_at", "metrics", "gate")
NOT_COMPARED = ("job_runs",)
# Below the root, so that it is copied with the tables.
NAMES = Path("_files", "suppressed.txt")


def flags_of(root: Path, flags: list[str]) -> list[str]:
    """Return all flags of a job on this root."""
    return ["--tables.root", str(root), *FLAGS, "--suppress.users_file", str(root / NAMES), *flags]


def run(job: str, root: Path, flags: list[str]) -> None:
    """Run a job to its end in this process."""
    assert import_module(f"recsys_spark.jobs.{job}").main(flags_of(root, flags)) == 0


def is_killed(job: str, root: Path, flags: list[str], number: int) -> bool:
    """Run a job in a process that is killed after its n-th commit.

    Return False if the job has fewer commits.
    """
    command = [sys.executable, "-c", RUNNER, job, str(number), *flags_of(root, flags), *SMALL]
    done = subprocess.run(command, check=False, cwd=root.parent, capture_output=True, text=True, start_new_session=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2_000:]
    return done.returncode != 0


def contents(spark: SparkSession, root: Path) -> dict[str, list[str]]:
    """Return every row of every compared table as text, sorted."""
    found = {}
    for log in sorted(root.glob("*/_delta_log")):
        table = spark.read.format("delta").load(str(log.parent)).drop(*RUN_COLUMNS)
        if log.parent.name not in NOT_COMPARED:
            found[log.parent.name] = rows_as_text(table)
    return found


@pytest.fixture(scope="module")
def states(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return copies of the root before the chain and after each of its jobs."""
    folder = tmp_path_factory.mktemp("states")
    root = folder / "root" / "tables"
    source = ["--source.path", str(folder / "raw")]
    for job in ("generate_sample", "ingest_plays", "build_interactions"):
        run(job, root, source)
    users = spark.read.format("delta").load(str(root / "user_index")).orderBy("user_idx").limit(3).collect()
    (root / NAMES).write_text("\n".join(row.user_id for row in users))
    copies = []
    for number, (job, flags) in enumerate([("", []), *CHAIN]):
        if job:
            run(job, root, flags)
        copies.append(folder / str(number))
        shutil.copytree(root, copies[-1])
    return copies


@pytest.mark.parametrize("place", range(len(CHAIN)), ids=[job for job, _ in CHAIN])
def test_a_job_killed_after_any_commit_and_run_again_gives_the_same_tables(
    spark: SparkSession, states: list[Path], tmp_path: Path, place: int
) -> None:
    job, flags = CHAIN[place]
    expected, commits = contents(spark, states[place + 1]), 0
    while True:
        root = tmp_path / f"after-{commits + 1}" / "tables"
        shutil.copytree(states[place], root)
        if not is_killed(job, root, flags, commits + 1):
            break
        commits += 1
        run(job, root, flags)
        assert contents(spark, root) == expected, f"{job}, killed after commit {commits}"
    # Its own tables, and its row in job_runs.
    assert commits >= (1 if job in FILE_JOBS else 2)
    assert contents(spark, root) == expected
