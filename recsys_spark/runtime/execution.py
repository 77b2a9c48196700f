"""Execution of a job in a Spark session, with its row in job_runs."""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.libraries import explain_missing_libraries
from recsys_spark.core.logs import progress_detail
from recsys_spark.runtime.job_run import JobRun
from recsys_spark.runtime.preflight import (
    check_shared_files,
    check_tables_exist,
    check_writable,
    explain_disk_errors,
    log_file_systems,
)
from recsys_spark.runtime.report import Report, describe_failure, recorded_error
from recsys_spark.runtime.run_record import record
from recsys_spark.runtime.session import job_settings, spark_session
from recsys_spark.runtime.spark_context import end_interrupted_call
from recsys_spark.runtime.task_progress import TaskProgress
from recsys_spark.runtime.termination import termination_in
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

if TYPE_CHECKING:
    from recsys_spark.runtime.job import Job

__all__ = ["execute", "execute_in_own_session"]

log = logging.getLogger(__name__)


def execute_in_own_session(job: "Job", config: BaseConfig, report: Report) -> None:
    """Check tables and roots, then run a job in the session of a command."""
    _check(job, config)
    check_writable(config)
    with spark_session(config) as spark:
        _run(job, spark, config, report)


def execute(job: "Job", spark: SparkSession, config: BaseConfig, report: Report) -> None:
    """Run a job in a session and record the run; errors of the work are raised."""
    _check(job, config)
    _run(job, spark, config, report)


def _run(job: "Job", spark: SparkSession, config: BaseConfig, report: Report) -> None:
    tables = Tables(spark, config, report.run_id, job.name)
    started, clock, recorded = datetime.now(UTC), time.monotonic(), None
    with job_settings(spark, config.spark.cores), progress_detail(TaskProgress(spark)):
        try:
            with explain_disk_errors(config), explain_missing_libraries():
                check_writable(config)
                log_file_systems(config)
                check_shared_files(spark, config)
                job.work(JobRun(spark, config, tables, report))
        except BaseException as error:
            describe_failure(report, error)
            recorded = recorded_error(error, config)
            if termination_in(error) or isinstance(error, KeyboardInterrupt):
                # Else the record would wait for the tasks of the interrupted work.
                end_interrupted_call(spark)
            raise
        finally:
            _warn_of_undeclared(job, tables)
            report.outputs |= tables.outputs
            report.seconds = round(time.monotonic() - clock, 3)
            if recorded is None or _is_recorded_at(job, tables):
                record(tables, config, report, started, recorded)


def _check(job: "Job", config: BaseConfig) -> None:
    """Raise the errors that can be found without a session."""
    if job.needs_tables:
        check_tables_exist(config)
    for check in job.checks:
        check(config)


def _is_recorded_at(job: "Job", tables: Tables) -> bool:
    """Return False for an address without the tables that the job needs; a failed run creates none there."""
    try:
        return not job.needs_tables or any(map(tables.exists, job.tables_read))
    except SPARK_ERRORS:
        # The session is gone, which the record reports.
        return True


def _warn_of_undeclared(job: "Job", tables: Tables) -> None:
    read = tables.inputs.keys() - {*job.reads, *job.writes}
    written = tables.outputs.keys() - set(job.writes)
    for verb, names in (("read", read), ("wrote", written)):
        if names:
            log.warning("job %s %s tables that it does not declare: %s", job.name, verb, ", ".join(sorted(names)))
