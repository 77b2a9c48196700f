"""Frame of jobs: configuration, session, work, a row in job_runs, a JSON line on stdout.

A job file declares `job = Job(name, summary, work, reads, writes, settings)`. `job(spark, config)` runs it in a
notebook or a pipeline and raises its errors. `job.main(argv)` runs it as a command and returns the exit code. Spark is
imported when a job runs, so declarations and `--help` need no Spark.
"""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recsys_spark.config.job_help import print_help, wants_help
from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.libraries import explain_missing_libraries
from recsys_spark.core.logs import configure_logs
from recsys_spark.runtime.job_run import JobRun
from recsys_spark.runtime.report import Report, describe_failure
from recsys_spark.runtime.termination import Terminated, raise_on_sigterm, termination_in
from recsys_spark.storage.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Job", "JobRun", "Report", "exit_with"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A named piece of work on tables.

    `settings` holds the sections and keys that the job uses, besides those of every job. `may_be_first` is true for a
    job that reads tables and can also work where there are none yet. `checks` raise the errors of a configuration that
    can be found before a session starts.
    """

    name: str
    summary: str
    work: Callable[[JobRun], None]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    may_be_first: bool = False
    checks: tuple[Callable[[BaseConfig], None], ...] = ()

    @property
    def needs_tables(self) -> bool:
        """Return True if an earlier job must have made tables; the job then creates nothing where there are none."""
        return not self.may_be_first and bool(self.tables_read)

    @property
    def tables_read(self) -> list[str]:
        """Return the declared inputs that are tables."""
        return [name for name in self.reads if name in TABLES]

    def __call__(self, spark: "SparkSession", config: BaseConfig) -> Report:
        """Run the job in a session, which keeps its settings and is not stopped.

        Raises the errors of the work after recording the failure in job_runs.
        """
        from recsys_spark.runtime.execution import execute

        report = Report(self.name, _new_run_id())
        execute(self, spark, config, report)
        return report

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the job as a command and return the exit code.

        Logs go to stderr. The last line of stdout is the report as JSON.
        """
        arguments = list(sys.argv[1:] if argv is None else argv)
        if wants_help(arguments):
            return print_help(self.name, self.summary, self.settings, arguments)
        report = Report(self.name, _new_run_id())
        clock = time.monotonic()
        try:
            with raise_on_sigterm():
                config = load_config(arguments)
                configure_logs(config.run.log_level)
                self._execute(config, report)
        except (Exception, KeyboardInterrupt, Terminated) as error:
            describe_failure(report, error)
            _show_failure(error, report)
        report.seconds = round(time.monotonic() - clock, 3)
        # ASCII only, so that every encoding of stdout can print the line.
        print(json.dumps(asdict(report)), flush=True)
        return report.exit_code

    def _execute(self, config: BaseConfig, report: Report) -> None:
        with explain_missing_libraries():
            from recsys_spark.runtime.execution import execute_in_own_session
        execute_in_own_session(self, config, report)

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
