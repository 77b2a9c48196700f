"""Row of a run in job_runs."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.paths import without_credentials
from recsys_spark.runtime.preflight import explain_disk_errors
from recsys_spark.runtime.report import Report
from recsys_spark.storage.tables import Tables

__all__ = ["record"]

log = logging.getLogger(__name__)


def record(tables: Tables, config: BaseConfig, report: Report, started: datetime, error_text: str | None) -> None:
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
            tables.append_rows("job_runs", [row])
    except Exception as error:
        if report.status == "done":
            raise
        expected = isinstance(error, RecsysError)
        log.warning("the failed run could not be recorded in job_runs: %s", error, exc_info=not expected)
