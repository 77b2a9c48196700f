"""Session, configuration, tables and report that the work of a job gets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_spark.config.model import BaseConfig
from recsys_spark.runtime.report import Report

if TYPE_CHECKING:
    # Declarations of jobs are read without Spark.
    from pyspark.sql import SparkSession

    from recsys_spark.storage.tables import Tables

__all__ = ["JobRun"]


@dataclass
class JobRun:
    """Session, configuration, tables and report of a run."""

    spark: "SparkSession"
    config: BaseConfig
    tables: "Tables"
    report: Report

    def count(self, **rows: int) -> None:
        """Add to the row counts of the report."""
        for name, number in rows.items():
            self.report.rows[name] = self.report.rows.get(name, 0) + number
