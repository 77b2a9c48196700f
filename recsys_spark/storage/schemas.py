"""Schemas of the Delta tables, each with the job that makes it.

Columns are part of the contract with SQL users: new ones are added at the end, none is renamed or removed. Spark is
imported for its types alone, when they are asked for.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys_spark.storage.constraints import NULLABLE, checks

if TYPE_CHECKING:
    from pyspark.sql import types as T

__all__ = ["TABLES", "Table"]

COMMON_PROPERTIES = {
    # delta-rs and DuckDB must be able to read every table.
    "delta.enableDeletionVectors": "false",
    # Retention of the table versions that models were trained on.
    "delta.logRetentionDuration": "interval 90 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}


@dataclass(frozen=True)
class Table:
    """Table with its columns in SQL and the job that makes it."""

    name: str
    columns: str
    made_by: str
    extra_properties: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> "T.StructType":
        """Return the columns as a Spark type, all nullable: the table refuses nulls, and says in which column."""
        from pyspark.sql import types as T

        schema = T.StructType.fromDDL(self.columns)
        assert isinstance(schema, T.StructType)
        return schema

    @property
    def types(self) -> dict[str, str]:
        """Return the SQL type of each column, in schema order."""
        # A comma inside angle brackets belongs to a type such as MAP<STRING,STRING>.
        columns = re.split(r",\s*(?![^<]*>)", self.columns)
        return dict(column.split(" ", 1) for column in columns)

    @property
    def casts(self) -> list[str]:
        """Return the columns as SQL casts, in schema order.

        Columns built in Python take several Java calls each.
        """
        return [f"CAST(`{name}` AS {sql_type}) AS `{name}`" for name, sql_type in self.types.items()]

    @property
    def properties(self) -> dict[str, str]:
        """Return the Delta properties that the table is created with."""
        return COMMON_PROPERTIES | self.extra_properties

    @property
    def nullable(self) -> frozenset[str]:
        """Return the columns that may be null; the others are created as NOT NULL."""
        return frozenset(NULLABLE.get(self.name, "").split())

    @property
    def checks(self) -> dict[str, str]:
        """Return column -> SQL condition on its values, for the CHECK constraints of a catalog."""
        return checks(self.name)


# Statistics on vector values take space without any use for data skipping.
_FIRST_TWO = {"delta.dataSkippingNumIndexedCols": "2"}

_ALL = (
    Table(
        "plays",
        "event_id STRING, user_id STRING, item_id STRING, play_count BIGINT, rating DOUBLE, played_at TIMESTAMP,"
        " source STRING, source_file STRING, ingested_at TIMESTAMP, run_id STRING,"
        # The kind (events, totals, ratings) and the file time decide which of several rows of a pair counts.
        " kind STRING, file_modified_at TIMESTAMP",
        "ingest_plays",
        # Ingestion skips files by these columns. Statistics on unordered ids would take a third of the time of a write.
        {"delta.dataSkippingStatsColumns": "played_at,run_id"},
    ),
    Table(
        "plays_quarantine",
        "raw STRING, reasons ARRAY<STRING>, source STRING, source_file STRING, ingested_at TIMESTAMP, run_id STRING",
        "ingest_plays",
        # A quarantined line may have megabytes; statistics on it would copy its prefix into the log.
        {"delta.dataSkippingStatsColumns": "source,source_file,ingested_at,run_id"},
    ),
    Table(
        "ingested_files",
        "batch_id BIGINT, source STRING, source_file STRING, size BIGINT, modified_at TIMESTAMP, status STRING,"
        " rows_read BIGINT, rows_valid BIGINT, rows_duplicate BIGINT, rows_quarantined BIGINT, run_id STRING,"
        # A refused file is read again only with other settings.
        " settings_hash STRING, reprocess BOOLEAN",
        "ingest_plays",
    ),
    Table(
        "users",
        "user_id STRING, gender STRING, age INT, country STRING, attributes MAP<STRING,STRING>, updated_at TIMESTAMP",
        "ingest_plays",
    ),
    Table(
        "items",
        "item_id STRING, name STRING, attributes MAP<STRING,STRING>, updated_at TIMESTAMP",
        "ingest_plays",
    ),
    Table("user_index", "user_id STRING, user_idx INT", "build_interactions"),
    Table("item_index", "item_id STRING, item_idx INT", "build_interactions"),
    Table(
        "interactions",
        "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE, last_played_at TIMESTAMP",
        "build_interactions",
    ),
    Table(
        "splits",
        "split_id STRING, protocol STRING, part STRING, user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE,"
        " last_played_at TIMESTAMP",
        "split_interactions",
    ),
    Table(
        "models",
        "model_version STRING, algorithm STRING, created_at TIMESTAMP, params STRING, inputs STRING,"
        " split_id STRING, parent_version STRING, metrics MAP<STRING,DOUBLE>, selection_metric STRING,"
        " artifact STRING, serves ARRAY<STRING>, published_at TIMESTAMP, retired_at TIMESTAMP,"
        # Result of the quality gate at publication, as JSON.
        " gate STRING",
        "train_spark_model",
    ),
    Table(
        "user_vectors",
        "model_version STRING, user_idx INT, vector ARRAY<FLOAT>",
        "train_spark_model",
        _FIRST_TWO,
    ),
    Table(
        "item_vectors",
        "model_version STRING, item_idx INT, vector ARRAY<FLOAT>",
        "train_spark_model",
        _FIRST_TWO,
    ),
    Table(
        "item_similarity",
        "model_version STRING, algorithm STRING, item_id STRING, position INT, similar_item_id STRING,"
        " similarity DOUBLE",
        "build_item_similarity",
    ),
    Table(
        "recommendations",
        "model_version STRING, algorithm STRING, user_id STRING, position INT, item_id STRING, score DOUBLE,"
        " origin STRING",
        "build_recommendations",
    ),
    Table(
        "gender_predictions",
        "model_version STRING, user_id STRING, gender STRING, probability DOUBLE, probabilities MAP<STRING,DOUBLE>,"
        " known_items INT",
        "predict_gender",
    ),
    Table(
        "evaluations",
        "dataset STRING, protocol STRING, split_id STRING, part STRING, algorithm STRING, model_version STRING,"
        " metric STRING, slice STRING, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, users BIGINT, seed BIGINT,"
        " run_id STRING, created_at TIMESTAMP",
        "evaluate",
    ),
    Table(
        "trials",
        "study STRING, split_id STRING, algorithm STRING, number INT, params STRING, metric STRING, value DOUBLE,"
        " state STRING, epochs INT, seconds DOUBLE, seed BIGINT, run_id STRING, created_at TIMESTAMP",
        "search_parameters",
    ),
    Table("suppressions", "user_hash STRING, scope STRING, created_at TIMESTAMP", "suppress_users"),
    Table(
        "job_runs",
        "run_id STRING, job STRING, started_at TIMESTAMP, finished_at TIMESTAMP, status STRING, exit_code INT,"
        " rows MAP<STRING,BIGINT>, inputs STRING, outputs STRING, params STRING, error STRING",
        "any job",
    ),
)

TABLES = {table.name: table for table in _ALL}
