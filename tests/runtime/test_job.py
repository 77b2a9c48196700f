"""Frame of jobs: exit codes, the JSON line, job_runs, and an unchanged session."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError, DataQualityError, MissingInputError, WriteConflictError
from recsys_spark.runtime import execution
from recsys_spark.runtime.job import Job, JobRun, exit_with
from recsys_spark.runtime.session import job_settings
from recsys_spark.runtime.spark_settings import DELTA, JOB_SETTINGS

JOBS = Path(__file__).parents[2] / "jobs"

Capture = pytest.CaptureFixture[str]


def raising(error: BaseException) -> Callable[[JobRun], None]:
    """Return work that fails."""

    def work(run: JobRun) -> None:
        run.count(seen=3)
        raise error

    return work


def number_users(run: JobRun) -> None:
    """Read an empty table, write another one and print a line on stdout."""
    run.tables.ensure("item_index")
    run.tables.read("item_index")
    rows = run.spark.createDataFrame([("u", 0)], "user_id STRING, user_idx INT")
    run.tables.append("user_index", rows)
    run.count(users=1)
    run.count(users=1, items=0)
    print("a list for people")


def main(work: Callable[[JobRun], None], root: Path, capsys: Capture, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Run a job and return its exit code, its JSON line and stderr."""
    capsys.readouterr()
    code = Job("demo", "A demonstration.", work).main(["--tables.root", str(root), *flags])
    captured = capsys.readouterr()
    return code, json.loads(captured.out.splitlines()[-1]), captured.err


def no_session(*_: object) -> None:
    """Fail the test that starts a session."""
    pytest.fail("a session was started")


def test_exit_codes_the_json_line_and_job_runs_agree(spark: SparkSession, tmp_path: Path, capsys: Capture) -> None:
    cases: list[tuple[Callable[[JobRun], None], int, str | None]] = [
        (number_users, 0, None),
        (raising(ConfigError("no such column: name it", "nor that one")), 2, "no such column: name it\nnor that one"),
        (raising(MissingInputError("run ingest_plays first")), 4, "run ingest_plays first"),
        (raising(WriteConflictError("run again")), 6, "run again"),
        (raising(RuntimeError("the disk of 名 burns")), 1, "RuntimeError: the disk of 名 burns"),
        (raising(KeyboardInterrupt()), 1, "KeyboardInterrupt: "),
    ]
    lines = []
    for work, expected_code, expected_error in cases:
        code, line, stderr = main(work, tmp_path, capsys)
        assert (code, line["exit_code"], line["error"]) == (expected_code, expected_code, expected_error)
        keys = {"job", "run_id", "status", "exit_code", "seconds", "rows", "outputs", "model_version", "error"}
        assert set(line) == keys
        assert (line["job"], line["status"]) == ("demo", "failed" if code else "done")
        assert line["seconds"] > 0
        assert (line["error"] or "").splitlines()[0:1] == [] or "Traceback" in stderr or "demo: " in stderr
        lines.append(line)
    assert (lines[0]["rows"], lines[0]["outputs"]) == ({"users": 2, "items": 0}, {"user_index": 1})
    assert lines[1]["rows"] == {"seen": 3}
    rows = {row["run_id"]: row for row in spark.read.format("delta").load(str(tmp_path / "job_runs")).collect()}
    assert set(rows) == {line["run_id"] for line in lines}
    for line in lines:
        row = rows[line["run_id"]]
        recorded = {name: row[name] for name in ("job", "status", "exit_code", "rows", "error")}
        assert recorded == {name: line[name] for name in recorded}
        assert json.loads(row["outputs"]) == line["outputs"]
        assert row["started_at"] <= row["finished_at"]
    done = rows[lines[0]["run_id"]]
    assert json.loads(done["inputs"]) == {"item_index": 0}
    assert json.loads(done["params"])["tables"]["root"] == str(tmp_path)


def test_unexpected_errors_show_a_traceback_and_expected_ones_do_not(
    spark: SparkSession, tmp_path: Path, capsys: Capture
) -> None:
    _, _, stderr = main(raising(ZeroDivisionError("by nought")), tmp_path, capsys)
    assert "Traceback" in stderr and "by nought" in stderr
    _, line, stderr = main(raising(DataQualityError("mend\nthe files")), tmp_path, capsys)
    assert "Traceback" not in stderr
    assert [text for text in stderr.splitlines() if text.startswith("demo: ")] == ["demo: mend", "demo: the files"]
    assert line["exit_code"] == 3


def fill_the_disk_of_an_executor(run: JobRun) -> None:
    """Run a task that fails with a full disk."""

    def write(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "shuffle_0")

    run.spark.range(1).foreach(write)


def read_only(run: JobRun) -> None:
    """Raise an error that was caused by a read-only disk."""
    try:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "part-0")
    except OSError as error:
        raise RuntimeError("not saved") from error


@pytest.mark.parametrize(
    ("work", "words"),
    [(fill_the_disk_of_an_executor, "No space left on device"), (read_only, "Read-only file system")],
)
def test_disk_errors_become_configuration_errors_with_a_remedy(
    spark: SparkSession, tmp_path: Path, capsys: Capture, work: Callable[[JobRun], None], words: str
) -> None:
    code, line, stderr = main(work, tmp_path, capsys)
    assert code == 2 and line["error"].startswith(f"{words}: tables are at {tmp_path}") and "make room" in line["error"]
    assert "Traceback" not in stderr
    (row,) = spark.read.format("delta").load(str(tmp_path / "job_runs")).collect()
    assert (row["exit_code"], row["error"]) == (2, line["error"])


def test_a_run_that_cannot_be_recorded_fails_and_keeps_its_own_error(
    spark: SparkSession, tmp_path: Path, capsys: Capture
) -> None:
    spark.range(1).write.format("delta").save(str(tmp_path / "job_runs"))
    code, line, _ = main(lambda run: None, tmp_path, capsys)
    assert (code, line["status"]) == (2, "failed") and "unexpected schema" in line["error"]
    code, line, _ = main(raising(MissingInputError("run ingest_plays first")), tmp_path, capsys)
    assert (code, line["error"]) == (4, "run ingest_plays first")


def test_called_from_a_notebook_a_job_raises_and_is_recorded(spark: SparkSession, tmp_path: Path) -> None:
    config = load_config(["--tables.root", str(tmp_path)], {})
    report = Job("demo", "", number_users)(spark, config)
    assert (report.status, report.outputs) == ("done", {"user_index": 1})
    with pytest.raises(MissingInputError):
        Job("demo", "", raising(MissingInputError("no file '\udcff'")))(spark, config)
    rows = spark.read.format("delta").load(str(tmp_path / "job_runs")).orderBy("started_at").collect()
    assert [(row["status"], row["error"]) for row in rows] == [("done", None), ("failed", "no file '\\udcff'")]
    assert rows[0]["run_id"] == report.run_id


def test_an_existing_session_keeps_its_settings(spark: SparkSession, tmp_path: Path, capsys: Capture) -> None:
    before = {key: spark.conf.get(key, None) for key in JOB_SETTINGS}
    theirs = {"spark.sql.session.timeZone": "America/Lima", "spark.sql.ansi.enabled": "false"}
    inside: dict[str, str | None] = {}

    def look(run: JobRun) -> None:
        inside.update({key: run.spark.conf.get(key) for key in JOB_SETTINGS})
        raise MissingInputError("run it")

    try:
        for key, value in theirs.items():
            spark.conf.set(key, value)
        spark.conf.unset("spark.databricks.delta.snapshotPartitions")
        found = {key: spark.conf.get(key, None) for key in JOB_SETTINGS}
        assert main(look, tmp_path, capsys)[0] == 4
        assert inside == JOB_SETTINGS
        assert {key: spark.conf.get(key, None) for key in JOB_SETTINGS} == found
        codes: list[int] = []
        arguments = ["--tables.root", str(tmp_path)]
        thread = threading.Thread(target=lambda: codes.append(Job("demo", "", look).main(arguments)))
        thread.start()
        thread.join()
        assert codes == [4]
        assert spark.range(3).count() == 3, "not stopped, not even by a job in another thread"
    finally:
        for key, old in before.items():
            spark.conf.unset(key) if old is None else spark.conf.set(key, old)


@pytest.mark.parametrize("missing", list(DELTA))
def test_a_session_without_delta_is_refused_with_the_remedy(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Conf:
        def get(self, key: str, default: str | None = None) -> str | None:
            return default if key == missing else DELTA.get(key, default)

        def set(self, key: str, value: str) -> None:
            pytest.fail("a session that is refused must not be changed")

        def unset(self, key: str) -> None:
            pass

    class Session:
        conf = Conf()

    session: Any = Session()
    with pytest.raises(ConfigError, match=f"--conf {missing}={DELTA[missing]}"), job_settings(session):
        pytest.fail("accepted")
    # Databricks has Delta built in, and these settings are empty there.
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    monkeypatch.setattr(Conf, "set", lambda self, key, value: None)
    with job_settings(session):
        pass


def test_problems_of_roots_and_keys_are_reported_before_spark_starts(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "spark_session", no_session)
    (tmp_path / "file").write_text("in the way")
    beneath = tmp_path / "file" / "tables"
    code, line, stderr = main(number_users, beneath, capsys, "--files.root", str(tmp_path / "file" / "files"))
    assert code == line["exit_code"] == 2
    assert "demo: tables.root" in stderr and "demo: files.root" in stderr and "cannot be written" in line["error"]
    code, line, stderr = main(number_users, tmp_path, capsys, "--run.sead", "1", "--similarity.neighbours", "many")
    assert code == 2 and "run.seed" in line["error"] and "similarity.neighbours" in line["error"]
    code, line, _ = main(number_users, tmp_path, capsys, "--files.root", "s3://bucket/files")
    assert code == 2 and "set files.root to a folder" in line["error"]
    assert not list(tmp_path.glob(".probe-*")) and not Path("s3:").exists()


def test_the_json_line_is_printed_for_any_path_and_encoding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    root = os.fsencode(tmp_path / "file" / "名") + b"\xff"
    program = os.fsencode(JOBS / "build_interactions.py")
    command = [os.fsencode(sys.executable), program, b"--tables.root", root]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, check=False, capture_output=True, env=ascii_only)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["exit_code"], line["status"]) == (2, 2, "failed")
    assert "\\udcff" in line["error"] and b"cannot be written" in done.stderr


def test_success_does_not_raise_system_exit() -> None:
    exit_with(0)
    with pytest.raises(SystemExit) as caught:
        exit_with(4)
    assert caught.value.code == 4
