"""Report of a run: its failure, and its row in job_runs."""

import json
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.paths import without_credentials
from recsys_spark.runtime.preflight import explain_disk_errors
from recsys_spark.runtime.termination import Terminated, termination_in
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["Report", "describe_failure", "record", "recorded_error"]

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


def describe_failure(report: Report, error: BaseException) -> None:
    error = termination_in(error) or error
    report.status = "failed"
    report.exit_code = error.exit_code if isinstance(error, RecsysError | Terminated) else 1
    report.error = _storable(_message(error))


def recorded_error(error: BaseException, config: BaseConfig) -> str:
    """Return the text of an error for job_runs, without what a private query names."""
    text = error.recorded if isinstance(error, RecsysError) else _message(termination_in(error) or error)
    items = sorted(filter(str.strip, config.query.items), key=len, reverse=True)
    if items:
        text = re.sub("|".join(map(re.escape, items)), "[query.items]", text)
    if config.query.user is not None:
        # An id may be as short as a digit: only whole words are cut out.
        text = re.sub(rf"(?<!\w){re.escape(config.query.user)}(?!\w)", "[query.user]", text)
    return _storable(text)


def record(
    spark: SparkSession, tables: Tables, config: BaseConfig, report: Report, started: datetime, error_text: str | None
) -> None:
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
        without_credentials(config.model_dump_json(by_alias=True)),
        error_text,
    )
    try:
        with explain_disk_errors(config):
            tables.append("job_runs", spark.createDataFrame([row], TABLES["job_runs"].schema))
    except Exception as error:
        if report.status == "done":
            raise
        expected = isinstance(error, RecsysError)
        log.warning("the failed run could not be recorded in job_runs: %s", error, exc_info=not expected)


def _message(error: BaseException) -> str:
    return str(error) if isinstance(error, RecsysError | Terminated) else f"{type(error).__name__}: {error}"


def _storable(text: str) -> str:
    # A path may be invalid Unicode, which a table cannot store.
    return without_credentials(text).encode(errors="backslashreplace").decode()[:MAX_ERROR_CHARACTERS]
