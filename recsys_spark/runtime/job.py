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
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from recsys_spark.config.help import help_text
from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.logs import configure_logs
from recsys_spark.runtime.preflight import (
    check_shared_files,
    check_tables_exist,
    check_writable,
    explain_disk_errors,
    log_file_systems,
)
from recsys_spark.runtime.report import Report, describe_failure, record, recorded_error
from recsys_spark.runtime.session import job_settings, spark_session
from recsys_spark.runtime.termination import Terminated, raise_on_sigterm, termination_in
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

__all__ = ["Job", "JobRun", "Report", "exit_with"]

log = logging.getLogger(__name__)


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
    """A named piece of work on tables.

    `may_be_first` is true for a job that reads tables and can also work where there are none yet. `checks` raise the
    errors of a configuration that can be found before a session starts.
    """

    name: str
    summary: str
    work: Callable[[JobRun], None]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    may_be_first: bool = False
    checks: tuple[Callable[[BaseConfig], None], ...] = ()

    @property
    def needs_tables(self) -> bool:
        """Return True if an earlier job must have made tables; the job then creates nothing where there are none."""
        return not self.may_be_first and bool(self._tables_read)

    @property
    def _tables_read(self) -> list[str]:
        return [name for name in self.reads if name in TABLES]

    def __call__(self, spark: SparkSession, config: BaseConfig) -> Report:
        """Run the job in a session, which keeps its settings and is not stopped.

        Raises the errors of the work after recording the failure in job_runs.
        """
        report = Report(self.name, _new_run_id())
        self._execute(spark, config, report)
        return report

    def _execute(self, spark: SparkSession, config: BaseConfig, report: Report) -> None:
        self._check(config)
        tables = Tables(spark, config, report.run_id, self.name)
        started, clock, recorded = datetime.now(UTC), time.monotonic(), None
        with job_settings(spark):
            try:
                with explain_disk_errors(config):
                    check_writable(config)
                    log_file_systems(config)
                    check_shared_files(spark, config)
                    self.work(JobRun(spark, config, tables, report))
            except BaseException as error:
                describe_failure(report, error)
                recorded = recorded_error(error, config)
                if termination_in(error):
                    # Else the record would wait for the tasks of the interrupted work.
                    with suppress(*SPARK_ERRORS):
                        spark.interruptAll()
                raise
            finally:
                self._warn_of_undeclared(tables)
                report.outputs |= tables.outputs
                report.seconds = round(time.monotonic() - clock, 3)
                if recorded is None or self._is_recorded_at(tables):
                    record(spark, tables, config, report, started, recorded)

    def _check(self, config: BaseConfig) -> None:
        """Raise the errors that can be found without a session."""
        if self.needs_tables:
            check_tables_exist(config)
        for check in self.checks:
            check(config)

    def _is_recorded_at(self, tables: Tables) -> bool:
        """Return False for an address without the tables that the job needs; a failed run creates none there."""
        try:
            return not self.needs_tables or any(map(tables.exists, self._tables_read))
        except SPARK_ERRORS:
            # The session is gone, which the record reports.
            return True

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
            with raise_on_sigterm():
                config = load_config(arguments)
                configure_logs(config.run.log_level)
                self._check(config)
                check_writable(config)
                with spark_session(config) as spark:
                    self._execute(spark, config, report)
        except (Exception, KeyboardInterrupt, Terminated) as error:
            describe_failure(report, error)
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


def _show_failure(error: BaseException, report: Report) -> None:
    error = termination_in(error) or error
    if isinstance(error, RecsysError | Terminated):
        for line in str(error).splitlines():
            print(f"{report.job}: {line}", file=sys.stderr)
    else:
        log.error("%s failed", report.job, exc_info=error)
