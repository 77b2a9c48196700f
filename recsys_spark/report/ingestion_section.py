"""Section of a report: rows ingested and refused, by day and by reason, and the growth of the plays."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.report.charts import Bar, Series, bar_chart, line_chart
from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["ingestion_section", "refused_files"]

# Days and reasons that the driver gets and the page shows; the latest days and the most frequent reasons.
MAX_DAYS = 366
MAX_BARS = 31
MAX_REASONS = 12
PARTS = ("valid", "duplicate", "quarantined")


def ingestion_section(tables: Tables) -> Section:
    """Return the section; the driver gets a row for each of the last MAX_DAYS days."""
    if not tables.exists("ingested_files"):
        return Section("ingestion", "Ingestion", empty="No file has been ingested yet.")
    days = _rows_by_day(tables.read("ingested_files"))
    figures = [*_by_day(days), *_growth(days)]
    if tables.exists("plays_quarantine"):
        figures += _by_reason(tables.read("plays_quarantine"))
    return Section("ingestion", "Ingestion", figures, "" if figures else "No file has been ingested yet.")


def refused_files(tables: Tables) -> int:
    """Return the number of files whose last attempt was refused."""
    if not tables.exists("ingested_files"):
        return 0
    files = tables.read("ingested_files").where("status IN ('refused', 'ingested')")
    last = files.groupBy("source", "source_file").agg(F.max_by("status", "batch_id").alias("status"))
    return last.where("status = 'refused'").count()


def _rows_by_day(files: DataFrame) -> list[Mapping[str, float]]:
    """Return day, files and rows by result, oldest first; a run id begins with its UTC date."""
    finished = files.where("status = 'ingested'")
    sums = [F.sum(F.coalesce(f"rows_{part}", F.lit(0))).alias(part) for part in PARTS]
    days = finished.groupBy(F.substring("run_id", 1, 8).alias("day")).agg(*sums, F.count(F.lit(1)).alias("files"))
    rows = days.orderBy(F.desc("day")).limit(MAX_DAYS).collect()
    return [row.asDict() for row in reversed(rows)]


def _by_day(days: list[Mapping[str, float]]) -> list[Figure]:
    bars = [Bar(_day(str(day["day"])), [float(day[part] or 0) for part in PARTS]) for day in days[-MAX_BARS:]]
    chart = bar_chart("Rows of each day of ingestion by result", "day of ingestion", "rows", bars, PARTS)
    sentence = (
        "Rows of plays, users and items. A large part of duplicates means that a delivery repeats earlier ones;"
        " quarantined rows were refused."
    )
    return [Figure("Rows by day", sentence, chart)] if chart else []


def _growth(days: list[Mapping[str, float]]) -> list[Figure]:
    if len(days) < 2:
        return []
    total, points = 0.0, []
    for number, day in enumerate(days, start=1):
        total += float(day["valid"] or 0)
        points.append((float(number), total))
    chart = line_chart(
        "Plays after each day of ingestion", "days with an ingestion", "plays", [Series("plays", points)]
    )
    sentence = "A flat end means that nothing new has arrived; a jump is a backfill or a new source."
    return [Figure("Growth of the plays", sentence, chart)]


def _by_reason(quarantine: DataFrame) -> list[Figure]:
    reasons = quarantine.select(F.explode("reasons").alias("reason")).groupBy("reason").count()
    rows = reasons.orderBy(F.desc("count"), "reason").limit(MAX_REASONS).collect()
    if not rows:
        return []
    top = rows[0]["count"]
    table = Table(("reason", "rows"), [(row["reason"], Cell(f"{row['count']:,}", row["count"] / top)) for row in rows])
    sentence = "Each row of plays_quarantine has all reasons for which it was refused, and its text."
    return [Figure("Refused rows by reason", sentence, table=table)]


def _day(text: str) -> str:
    return f"{text[4:6]}-{text[6:8]}"
