"""Rows of a staged copy: counts by file, and warnings about rows that are easily overlooked."""

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.ingestion.parsing import is_refused
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import Staging

__all__ = ["RowCounts", "count_rows", "warn_about_ids", "warn_about_times"]

log = logging.getLogger(__name__)

# Ids in lower case that stand for no user or item in many exports.
PLACEHOLDERS = ("null", "none", "nan", "<na>", "na", "n/a", "nil", "\\n", "undefined", "unknown", "anonymous", "-", "?")
MAX_PLACEHOLDER_SHARE = 0.01


class RowCounts(NamedTuple):
    """Rows of one file in the staged copy.

    `untimed` and `placeholders` count valid plays without a time, and with an id that looks like a missing value;
    `placeholder` is such an id.
    """

    is_plays: bool
    read: int
    refused: int
    untimed: int = 0
    placeholders: int = 0
    placeholder: str | None = None

    @property
    def valid(self) -> int:
        """Return the number of rows that were not refused."""
        return self.read - self.refused


def count_rows(staging: Staging) -> dict[str, RowCounts]:
    """Return the row counts by file; files without rows are absent."""
    frames = []
    for role, rows in staging.all_rows().items():
        is_play = ~is_refused() & F.lit(role == "plays")
        time = F.col("played_at") if role == "plays" else F.lit(None)
        ids = [_placeholder(name) for name in ("user_id", "item_id")] if role == "plays" else [F.lit(None)]
        placeholder = F.when(is_play, F.coalesce(*ids).cast("string"))
        frames.append(
            rows.groupBy("source_file").agg(
                F.lit(role == "plays").alias("is_plays"),
                F.count(F.lit(1)),
                F.count_if(is_refused()),
                F.count_if(is_play & time.isNull()),
                F.count(placeholder),
                F.max(placeholder),
            )
        )
    # One row a file of the plan.
    return {file: RowCounts(*counted) for file, *counted in reduce(DataFrame.union, frames).collect()}


def warn_about_times(counts: Mapping[str, RowCounts], reader: Reader) -> int:
    """Warn about untimed plays of a timed source, and return their number."""
    untimed, valid = _sums(counts, "untimed")
    if not reader.timed or not untimed:
        return 0
    log.warning(
        "%d of %d valid plays have no time, in a source that states times: set source.untimed to refuse to quarantine"
        " such rows",
        untimed,
        valid,
    )
    return untimed


def warn_about_ids(counts: Mapping[str, RowCounts]) -> None:
    """Warn where many ids look like missing values."""
    placeholders, valid = _sums(counts, "placeholders")
    if placeholders > MAX_PLACEHOLDER_SHARE * valid:
        example = next(rows.placeholder for rows in counts.values() if rows.placeholders)
        log.warning(
            "%d of %d valid plays have an id that looks like a missing value, such as %r: add it to"
            " source.null_values to quarantine them",
            placeholders,
            valid,
            example,
        )


def _sums(counts: Mapping[str, RowCounts], name: str) -> tuple[int, int]:
    """Return the sums of a count and of valid rows over files of plays."""
    plays: Sequence[RowCounts] = [rows for rows in counts.values() if rows.is_plays]
    return sum(getattr(rows, name) for rows in plays), sum(rows.valid for rows in plays)


def _placeholder(name: str) -> Column:
    return F.when(F.lower(F.trim(name)).isin(*PLACEHOLDERS), F.col(name))
