"""Refused rows of a batch: their table, and the limit on their share."""

import logging
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import DataQualityError
from recsys_spark.ingestion.batches import FileBatch, stamp
from recsys_spark.ingestion.parsing import is_refused, reasons_of_refused
from recsys_spark.ingestion.row_counts import RowCounts
from recsys_spark.ingestion.staging import Staging
from recsys_spark.storage.tables import Tables

__all__ = ["QuarantineLimitError", "append_quarantine", "quarantine_error", "warn_about_quarantine"]

log = logging.getLogger(__name__)

MAX_LISTED_REASONS = 5


class QuarantineLimitError(DataQualityError):
    """A batch with too large a share of refused rows; `read` and `quarantined` count rows."""

    def __init__(self, message: str, read: int, quarantined: int) -> None:
        super().__init__(message)
        self.read = read
        self.quarantined = quarantined


def append_quarantine(tables: Tables, batch: FileBatch, staging: Staging) -> None:
    """Append the refused rows of a batch to plays_quarantine, once however often it is repeated."""
    rows = stamp(_refused(staging), batch)
    tables.append("plays_quarantine", rows, batch.transaction, batch_id=batch.batch_id)


def quarantine_error(batch: FileBatch, staging: Staging, read: int, refused: int, limit: float) -> QuarantineLimitError:
    """Return the error for a batch with a larger share of refused rows than `limit`."""
    message = (
        f"{refused} of {read} rows were quarantined ({refused / read:.1%}; source.max_quarantine_share is"
        f" {limit:.1%}): {_common_reasons(staging)}. Nothing was ingested; see plays_quarantine where run_id is"
        f" {batch.run_id!r}, correct the files or the source.* settings, and run again"
    )
    return QuarantineLimitError(message, read, refused)


def warn_about_quarantine(batch: FileBatch, staging: Staging, counts: Mapping[str, RowCounts]) -> None:
    """Warn about the refused rows of a batch that is ingested."""
    refused = sum(rows.refused for rows in counts.values())
    if refused:
        log.warning(
            "%d of %d rows were quarantined: %s; see the table plays_quarantine where run_id is %r",
            refused,
            sum(rows.read for rows in counts.values()),
            _common_reasons(staging),
            batch.run_id,
        )


def _common_reasons(staging: Staging) -> str:
    """Return the most frequent reasons with their counts.

    There are a few dozen reasons, so the rows collected are few.
    """
    counted = _refused(staging).select(F.explode("reasons").alias("r")).groupBy("r").count()
    rows = counted.orderBy(F.desc("count"), "r").limit(MAX_LISTED_REASONS).collect()
    return ", ".join(f"{row['r']} {row['count']}" for row in rows)


def _refused(staging: Staging) -> DataFrame:
    """Return raw, reasons (ARRAY<STRING>) and source_file of the refused rows of every role."""
    frames = [rows.where(is_refused()) for rows in staging.all_rows().values()]
    return reduce(DataFrame.unionByName, [rows.select("raw", reasons_of_refused(), "source_file") for rows in frames])
