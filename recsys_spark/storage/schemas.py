"""The Delta tables: columns, and the job that makes each. Vocabulary only; nothing here touches Spark's engine.

Columns are part of the contract with downstream SQL: they may be added at the end, never renamed or removed.
"""

from dataclasses import dataclass, field

from pyspark.sql import types as T

__all__ = ["TABLES", "Table"]

COMMON_PROPERTIES = {
    # Readers that are not Spark (delta-rs, DuckDB) must be able to read every table.
    "delta.enableDeletionVectors": "false",
    # Models must be able to name the table versions that they were trained on for as long as this.
    "delta.logRetentionDuration": "interval 90 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}


@dataclass(frozen=True)
class Table:
    """One table: its columns as a SQL type string, and the job to run when it is missing."""

    name: str
    columns: str
    made_by: str
    extra_properties: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> T.StructType:
        """The columns as Spark's type."""
        schema = T.StructType.fromDDL(self.columns)
        assert isinstance(schema, T.StructType)
        return schema

    @property
    def casts(self) -> list[str]:
        """The columns in their order, each as its type, in SQL: columns built in Python cost several calls of Java."""
        return [f"CAST(`{c.name}` AS {c.dataType.simpleString()}) AS `{c.name}`" for c in self.schema]

    @property
    def properties(self) -> dict[str, str]:
        """Delta table properties stated at creation."""
        return COMMON_PROPERTIES | self.extra_properties


# Statistics on a vector's values would cost space and skip nothing.
_FIRST_TWO = {"delta.dataSkippingNumIndexedCols": "2"}

_ALL = (
    Table(
        "plays",
        "event_id STRING, user_id STRING, item_id STRING, play_count BIGINT, rating DOUBLE, played_at TIMESTAMP,"
        " source STRING, source_file STRING, ingested_at TIMESTAMP, run_id STRING,"
        # What a row states (events, totals, ratings) and how new its file was decide which statement counts.
        " kind STRING, file_modified_at TIMESTAMP",
        "ingest_plays",
        # What ingestion skips files by. Extremes of texts take a third of the time of a write, and ids lie in no order.
        {"delta.dataSkippingStatsColumns": "played_at,run_id"},
    ),
    Table(
        "plays_quarantine",
        "raw STRING, reasons ARRAY<STRING>, source STRING, source_file STRING, ingested_at TIMESTAMP, run_id STRING",
        "ingest_plays",
        # A quarantined line may be a megabyte of rubbish; statistics would copy its head into the log.
        {"delta.dataSkippingStatsColumns": "source,source_file,ingested_at,run_id"},
    ),
    Table(
        "ingested_files",
        "batch_id BIGINT, source STRING, source_file STRING, size BIGINT, modified_at TIMESTAMP, status STRING,"
        " rows_read BIGINT, rows_valid BIGINT, rows_duplicate BIGINT, rows_quarantined BIGINT, run_id STRING,"
        # A refused file is worth reading again only with other settings.
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
        # What the quality gate found when the version was published, as JSON.
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
