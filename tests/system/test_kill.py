"""Tests of ingestion and interactions that are killed and run again.

Their tables must equal those of an uninterrupted run.
"""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.ingestion.staging import Staging
from recsys_spark.jobs import build_interactions, ingest_plays
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.tables import Tables
from tests.conftest import Workspace
from tests.processes import SMALL, wait_until
from tests.table_rows import rows_as_text

Write = Callable[..., Path]

# Kills its process group, JVM included, before or after the n-th call of a method for a table.
RUNNER = """
import importlib, os, signal, sys
from recsys_spark.ingestion.staging import Staging
from recsys_spark.storage.tables import Tables

job, moment, method, table, number = sys.argv[1:6]
owner = Staging if table == "staging" else Tables
original, calls = getattr(owner, method), []

def dying(self, *arguments, **named):
    if table not in ("staging", arguments[0]):
        return original(self, *arguments, **named)
    calls.append(moment)
    if calls == ["before"] * int(number):
        os.killpg(0, signal.SIGKILL)
    result = original(self, *arguments, **named)
    if calls == ["after"] * int(number):
        os.killpg(0, signal.SIGKILL)
    return result

setattr(owner, method, dying)
sys.exit(importlib.import_module(f"recsys_spark.jobs.{job}").main(sys.argv[6:]))
"""
POINTS = [
    ("ingest_plays", "after ensure plays 1"),
    ("ingest_plays", "after append ingested_files 1"),
    ("ingest_plays", "after write staging 1"),
    ("ingest_plays", "after finish staging 1"),
    ("ingest_plays", "after append plays_quarantine 1"),
    ("ingest_plays", "before append plays 1"),
    ("ingest_plays", "after append plays 1"),
    ("ingest_plays", "after append users 1"),
    ("ingest_plays", "after append items 1"),
    ("ingest_plays", "after replace ingested_files 1"),
    ("ingest_plays", "after append_rows job_runs 1"),
    ("build_interactions", "after append user_index 1"),
    ("build_interactions", "after append item_index 1"),
    ("build_interactions", "after overwrite interactions 1"),
]
FAST = ("ingest_plays", "after append plays 1")
# Columns of the run that wrote a row, which may differ.
RUN_COLUMNS = ("run_id", "ingested_at", "updated_at")
COMPARED = ("plays", "users", "items", "plays_quarantine", "ingested_files", "user_index", "item_index", "interactions")
TIMED = ["--source.format", "plays", "--source.columns.played_at", "at"]


class Killed(BaseException):
    """Substitute for SIGKILL within the test process; the package does not catch it."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two files of plays, and users and items.

    Plays are repeated within and between the files, and some rows are broken.
    """
    folder, chance = tmp_path_factory.mktemp("raw"), random.Random(7)
    rows = []
    for _ in range(2_000):
        user, item, hour = chance.randrange(60), chance.randrange(40), chance.randrange(2_000)
        rows.append(f"u{user:02d},i{item:02d},{1_700_000_000 + 3_600 * hour}")
    rows += chance.choices(rows, k=300)
    rows += [f",i{number},1700000000" for number in range(20)] + [f"u{number},i,never" for number in range(20)]
    chance.shuffle(rows)
    (folder / "plays").mkdir()
    for name, part in (("a", rows[:1_300]), ("b", rows[1_200:])):
        (folder / "plays" / f"{name}.csv").write_text("\n".join(["user_id,item_id,played_at", *part, ""]))
    users = [f"u{number:02d},{'fm'[number % 2]},{20 + number},KR" for number in range(50)] + [",f,20,KR"]
    (folder / "users.csv").write_text("\n".join(["user_id,gender,age,country", *users, ""]))
    items = [f"i{number:02d},Song {number},Ann,pop,1999" for number in range(40)]
    (folder / "items.csv").write_text("\n".join(["item_id,name,artist,genre,year", *items, ""]))
    return folder


def run_jobs(root: Path, raw: Path) -> None:
    """Run both jobs by their command-line interface."""
    assert ingest_plays.main(["--tables.root", str(root), "--source.format", "sample", "--source.path", str(raw)]) == 0
    assert build_interactions.main(["--tables.root", str(root)]) == 0


def contents(spark: SparkSession, root: Path) -> dict[str, list[str]]:
    """Return every row of every table as text, sorted."""
    tables = {name: spark.read.format("delta").load(str(root / name)) for name in COMPARED}
    return {name: rows_as_text(table.drop(*RUN_COLUMNS)) for name, table in tables.items()}


@pytest.fixture(scope="module")
def uninterrupted_root(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of an uninterrupted run of both jobs."""
    root = tmp_path_factory.mktemp("uninterrupted")
    run_jobs(root, raw)
    return root


@pytest.fixture(scope="module")
def uninterrupted(spark: SparkSession, uninterrupted_root: Path) -> dict[str, list[str]]:
    """Return the contents of the tables of that run."""
    found = contents(spark, uninterrupted_root)
    sizes = {name: len(rows) for name, rows in found.items()}
    assert sizes["plays_quarantine"] >= 41 and sizes["ingested_files"] == 4
    assert 1_500 < sizes["plays"] < 2_000 and sizes["users"] == sizes["user_index"] == 60
    return found


@pytest.mark.parametrize(
    ("job", "point"), [pytest.param(*point, marks=() if point == FAST else pytest.mark.slow) for point in POINTS]
)
def test_a_killed_job_run_again_gives_the_tables_of_an_uninterrupted_run(
    spark: SparkSession, raw: Path, uninterrupted: dict[str, list[str]], tmp_path: Path, job: str, point: str
) -> None:
    root = tmp_path / "tables"
    flags = ["--tables.root", str(root), "--source.format", "sample", "--source.path", str(raw)]
    if job == "build_interactions":
        assert ingest_plays.main(flags) == 0
    command = [sys.executable, "-c", RUNNER, job, *point.split(), *flags, *SMALL]
    killed = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, start_new_session=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2_000:]
    run_jobs(root, raw)
    assert contents(spark, root) == uninterrupted
    assert not list((root / "_files" / "staging").glob("*")), "staging copies are deleted"


@pytest.mark.slow
def test_two_processes_at_once_both_finish_and_count_nothing_twice(
    spark: SparkSession, raw: Path, uninterrupted: dict[str, list[str]], tmp_path: Path
) -> None:
    root = tmp_path / "tables"
    flags = ["--tables.root", str(root), "--source.format", "sample", "--source.path", str(raw)]
    flags += [*SMALL, "--tables.lock_timeout_seconds", "300"]
    command = [sys.executable, "-m", "recsys_spark.jobs.ingest_plays", *flags]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with Locks(root / "_locks", 0).hold("ingested_files"):
        # The lock is released when both processes wait for it.
        processes = [_start(command, log) for log in logs]
        wait_until(lambda: all("another job that writes ingested_files" in log.read_text() for log in logs))
    assert [process.wait(300) for process in processes] == [0, 0], [log.read_text()[-2_000:] for log in logs]
    assert build_interactions.main(["--tables.root", str(root)]) == 0
    assert contents(spark, root) == uninterrupted
    runs = spark.read.format("delta").load(str(root / "job_runs")).where("job = 'ingest_plays'").collect()
    assert sorted(row["rows"]["files_new"] for row in runs) == [0, 4]


@pytest.mark.slow
def test_an_ingestion_and_a_build_at_once_lose_nothing(
    spark: SparkSession, raw: Path, uninterrupted_root: Path, uninterrupted: dict[str, list[str]], tmp_path: Path
) -> None:
    root = tmp_path / "tables"
    shutil.copytree(raw, tmp_path / "all")
    (tmp_path / "all" / "plays" / "b.csv").rename(tmp_path / "b.csv")
    flags = ["--tables.root", str(root), "--source.format", "sample", "--source.path", str(tmp_path / "all")]
    run_jobs(root, tmp_path / "all")
    (tmp_path / "b.csv").rename(tmp_path / "all" / "plays" / "b.csv")
    commands = [
        [sys.executable, "-m", f"recsys_spark.jobs.{job}", *flags, *SMALL]
        for job in ("ingest_plays", "build_interactions")
    ]
    logs = [tmp_path / "ingestion.log", tmp_path / "build.log"]
    processes = [_start(command, log) for command, log in zip(commands, logs, strict=True)]
    codes = [process.wait(300) for process in processes]
    assert set(codes) <= {0, 6}, [log.read_text()[-2_000:] for log in logs]
    run_jobs(root, tmp_path / "all")
    # Indexes depend on the order of arrival, and paths differ: compare pairs by id, and numbers of rows.
    assert pairs(spark, root) == pairs(spark, uninterrupted_root)
    assert {name: len(rows) for name, rows in contents(spark, root).items()} == {
        name: len(rows) for name, rows in uninterrupted.items()
    }


def pairs(spark: SparkSession, root: Path) -> list[tuple[str, str, int]]:
    """Return (user, item, plays) of all interactions, sorted."""
    users, items, rows = (
        spark.read.format("delta").load(str(root / name)) for name in ("user_index", "item_index", "interactions")
    )
    named = rows.join(users, "user_idx").join(items, "item_idx").select("user_id", "item_id", "play_count")
    return sorted(tuple(row) for row in named.collect())


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as stderr:
        return subprocess.Popen(command, cwd=log.parent, stdout=subprocess.DEVNULL, stderr=stderr)


def die_before(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, table: str | None = None) -> None:
    """Make the first call of a method end the run like a kill.

    With a `table`, the first call for this table.
    """
    original = getattr(owner, method)

    def dying(self: Any, *arguments: Any, **named: Any) -> Any:
        if table in (None, arguments[0]):
            raise Killed
        return original(self, *arguments, **named)

    monkeypatch.setattr(owner, method, dying)


def killed_ingestion(workspace: Workspace, raw: Path, flags: Sequence[str]) -> None:
    """Run an ingestion that `die_before` ends."""
    with pytest.raises(Killed):
        workspace.run("ingest_plays", "--source.path", raw, *flags)


def plays(workspace: Workspace) -> list[tuple[str, str]]:
    """Return (user, item) of all plays, sorted."""
    return sorted(tuple(row) for row in workspace.table("plays").select("user_id", "item_id").collect())


def statuses(workspace: Workspace) -> list[tuple[str, str]]:
    """Return (file, status) of all rows of ingested_files, sorted."""
    rows = workspace.table("ingested_files").select("source_file", "status").collect()
    return sorted((row["source_file"].rsplit("/", 1)[1], row["status"]) for row in rows)


def test_a_plan_is_replaced_if_its_files_changed_before_they_were_read(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write("same.csv", "user_id,item_id,at\nu,same,2024-01-01\n").parent
    write("changes.csv", "user_id,item_id,at\nu,before,2024-01-01\n")
    gone = write("gone.csv", "user_id,item_id,at\nu,gone,2024-01-01\n")
    with monkeypatch.context() as patch:
        die_before(patch, Staging, "write")
        killed_ingestion(workspace, raw, TIMED)
    assert {status for _, status in statuses(workspace)} == {"started"}
    gone.unlink()
    write("changes.csv", "user_id,item_id,at\nu,afterwards,2024-01-01\n")
    workspace.done("ingest_plays", "--source.path", raw, *TIMED)
    assert plays(workspace) == [("u", "afterwards"), ("u", "same")]
    files = statuses(workspace)
    assert [file for file, status in files if status == "ingested"] == ["changes.csv", "same.csv"]
    assert "started" not in {status for _, status in files}


@pytest.mark.slow
def test_a_plan_that_was_read_is_completed_after_files_and_settings_changed(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = ["--source.format", "plays", "--source.name", "s", "--source.columns.play_count", "n"]
    raw = write("changes.csv", "user_id,item_id,n\nu,before,5\n").parent
    gone = write("gone.csv", "user_id,item_id,n\nu,gone,6\n")
    with monkeypatch.context() as patch:
        die_before(patch, Tables, "append", "plays")
        killed_ingestion(workspace, raw, [*counted, "--source.kind", "totals"])
    gone.unlink()
    write("changes.csv", "user_id,item_id,at\nu,afterwards,2024-01-01\n")
    workspace.done("ingest_plays", "--source.path", raw, *TIMED, "--source.name", "s")
    rows = workspace.table("plays").select("item_id", "play_count", "kind").collect()
    expected = [("afterwards", 1, "events"), ("before", 5, "totals"), ("gone", 6, "totals")]
    assert sorted(tuple(row) for row in rows) == expected


@pytest.mark.slow
def test_a_plan_that_waits_while_another_source_goes_on_loses_nothing(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write("first/a.csv", "user_id,item_id,at\nu,first,2024-01-01\n,broken,2024-01-01\n").parent
    second = write("second/b.csv", "user_id,item_id,at\nu,second,2024-01-01\n,broken,2024-01-01\n").parent
    flags = [*TIMED, "--source.max_quarantine_share", "1"]
    with monkeypatch.context() as patch:
        die_before(patch, Staging, "write")
        killed_ingestion(workspace, first, [*flags, "--source.name", "first"])
    workspace.done("ingest_plays", "--source.path", second, *flags, "--source.name", "second")
    outcome = workspace.done("ingest_plays", "--source.path", first, *flags, "--source.name", "first")
    assert (outcome.rows["valid"], outcome.rows["quarantined"]) == (1, 1)
    assert plays(workspace) == [("u", "first"), ("u", "second")]
    assert workspace.table("plays_quarantine").count() == 2


def test_a_plan_that_was_read_is_completed_by_its_own_limit_though_its_folder_is_gone(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write("raw/a.csv", "user_id,item_id,at\nu,first,2024-01-01\n,broken,2024-01-01\n").parent
    with monkeypatch.context() as patch:
        # The plays are committed, the result of the files is not.
        die_before(patch, Tables, "replace", "ingested_files")
        killed_ingestion(workspace, raw, [*TIMED, "--source.max_quarantine_share", "0.5"])
    assert plays(workspace) == [("u", "first")]
    shutil.rmtree(raw)
    outcome = workspace.done("ingest_plays", "--source.path", raw, *TIMED, "--source.max_quarantine_share", "0.05")
    assert (outcome.rows["valid"], outcome.rows["quarantined"]) == (1, 1)
    assert plays(workspace) == [("u", "first")]
    assert statuses(workspace) == [("a.csv", "ingested")]
    assert workspace.run("ingest_plays", "--source.path", raw, *TIMED).code == 4
