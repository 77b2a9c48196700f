"""Frame of jobs: configuration, session, work, a row in job_runs, a JSON line on stdout.

A job file declares `job = Job(name, summary, work, reads, writes)`. `job(spark, config)` runs it in a notebook or a
pipeline and raises its errors. `job.main(argv)` runs it as a command and returns the exit code.
"""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.config.help import help_text
from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.logs import configure_logs
from recsys_spark.runtime.preflight import check_shared_files, check_writable, explain_disk_errors
from recsys_spark.runtime.session import job_settings, spark_session
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["Job", "JobRun", "Report", "exit_with"]

log = logging.getLogger(__name__)

MAX_ERROR_CHARACTERS = 2_000


@dataclass
class Report:
    """Report of a run, for the JSON line and the row in job_runs.

    `model_version` is the version that the run trained, or found already trained. `outputs` has the version of each
    table that the run wrote, and the path of other files.
    """

    job: str
    run_id: str
    status: str = "done"
    exit_code: int = 0
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int | str] = field(default_factory=dict)
    model_version: str | None = None
    error: str | None = None


@dataclass
class JobRun:
    """Session, configuration, tables and report of a run."""

    spark: SparkSession
    config: BaseConfig
    tables: Tables
    report: Report

    def count(self, **rows: int) -> None:
        """Add to the row counts of the report."""
        for name, number in rows.items():
            self.report.rows[name] = self.report.rows.get(name, 0) + number


@dataclass(frozen=True)
class Job:
    """A named piece of work on tables."""

    name: str
    summary: str
    work: Callable[[JobRun], None]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def __call__(self, spark: SparkSession, config: BaseConfig) -> Report:
        """Run the job in a session, which keeps its settings and is not stopped.

        Raises the errors of the work after recording the failure in job_runs.
        """
        report = Report(self.name, _new_run_id())
        self._execute(spark, config, report)
        return report

    def _execute(self, spark: SparkSession, config: BaseConfig, report: Report) -> None:
        tables = Tables(spark, config, report.run_id, self.name)
        started, clock = datetime.now(UTC), time.monotonic()
        with job_settings(spark):
            try:
                with explain_disk_errors(config):
                    check_writable(config)
                    check_shared_files(spark, config)
                    self.work(JobRun(spark, config, tables, report))
            except BaseException as error:
                _describe_failure(report, error)
                raise
            finally:
                self._warn_of_undeclared(tables)
                report.outputs |= tables.outputs
                report.seconds = round(time.monotonic() - clock, 3)
                _record(spark, tables, config, report, started)

    def _warn_of_undeclared(self, tables: Tables) -> None:
        read = tables.inputs.keys() - {*self.reads, *self.writes}
        written = tables.outputs.keys() - set(self.writes)
        for verb, names in (("read", read), ("wrote", written)):
            if names:
                log.warning("job %s %s tables that it does not declare: %s", self.name, verb, ", ".join(sorted(names)))

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the job as a command and return the exit code.

        Logs go to stderr. The last line of stdout is the report as JSON.
        """
        arguments = list(sys.argv[1:] if argv is None else argv)
        if {"--help", "-h"} & set(arguments):
            print(help_text(self.name, self.summary))
            return 0
        report = Report(self.name, _new_run_id())
        clock = time.monotonic()
        try:
            config = load_config(arguments)
            configure_logs(config.run.log_level)
            check_writable(config)
            with spark_session(config) as spark:
                self._execute(spark, config, report)
        except (Exception, KeyboardInterrupt) as error:
            _describe_failure(report, error)
            _show_failure(error, report)
        report.seconds = round(time.monotonic() - clock, 3)
        # ASCII only, so that every encoding of stdout can print the line.
        print(json.dumps(asdict(report)), flush=True)
        return report.exit_code

    def entry_point(self) -> None:
        """Run the job and exit, for console scripts and `python jobs/NAME.py`."""
        exit_with(self.main())


def exit_with(code: int) -> None:
    """Exit the process with a code other than 0.

    Code 0 returns, because some notebook platforms report even sys.exit(0) as a failure.
    """
    if code:
        sys.exit(code)


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def _describe_failure(report: Report, error: BaseException) -> None:
    report.status = "failed"
    report.exit_code = error.exit_code if isinstance(error, RecsysError) else 1
    text = str(error) if isinstance(error, RecsysError) else f"{type(error).__name__}: {error}"
    # A path may be invalid Unicode, which a table cannot store.
    report.error = text.encode(errors="backslashreplace").decode()[:MAX_ERROR_CHARACTERS]


def _show_failure(error: BaseException, report: Report) -> None:
    if isinstance(error, RecsysError):
        for line in str(error).splitlines():
            print(f"{report.job}: {line}", file=sys.stderr)
    else:
        log.error("%s failed", report.job, exc_info=error)


def _record(spark: SparkSession, tables: Tables, config: BaseConfig, report: Report, started: datetime) -> None:
    """Write a row to job_runs.

    Raises errors of the write only after a successful run; a failed run keeps its own error.
    """
    inputs, outputs = dict(tables.inputs), dict(report.outputs)
    row: tuple[Any, ...] = (
        report.run_id,
        report.job,
        started,
        datetime.now(UTC),
        report.status,
        report.exit_code,
        report.rows,
        json.dumps(inputs, sort_keys=True),
        json.dumps(outputs, sort_keys=True),
        config.model_dump_json(by_alias=True),
        report.error,
    )
    try:
        with explain_disk_errors(config):
            tables.append("job_runs", spark.createDataFrame([row], TABLES["job_runs"].schema))
    except Exception as error:
        if report.status == "done":
            raise
        expected = isinstance(error, RecsysError)
        log.warning("the failed run could not be recorded in job_runs: %s", error, exc_info=not expected)
