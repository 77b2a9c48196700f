"""Section of a report: predicted genders, their calibration, and the share of users left open."""

import json
from pathlib import Path

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.report.charts import Series, line_chart
from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["gender_section"]

# Probabilities are counted in bins of this width: at most 100 rows reach the driver.
WIDTH = 0.01
MAX_LABELS = 20


def gender_section(tables: Tables, files_root: Path | None, serving: list[Row]) -> Section:
    """Return the section, of the predictions that are served; without any it has no content."""
    model = next((row for row in serving if "gender_predictions" in row["serves"]), None)
    if model is None or not tables.exists("gender_predictions"):
        return Section("gender", "Predicted genders")
    rows = tables.read("gender_predictions").where(F.col("model_version") == model["model_version"])
    counted = rows.groupBy(F.coalesce("gender", F.lit("left open")).alias("gender"))
    genders = counted.agg(F.count(F.lit(1)).alias("users"), F.mean("probability").alias("mean"))
    found = genders.orderBy("gender").limit(MAX_LABELS).collect()
    bins = rows.groupBy(F.floor(F.col("probability") / WIDTH).alias("bin")).count().collect()
    figures = [
        *_counts(found),
        *_coverage({row["bin"]: row["count"] for row in bins}),
        *_calibration(files_root, model["artifact"]),
    ]
    return Section(
        "gender", "Predicted genders", figures, "" if figures else "There is nobody to predict a gender for."
    )


def _counts(rows: list[Row]) -> list[Figure]:
    total = sum(row["users"] for row in rows)
    if not total:
        return []
    cells = [
        (
            row["gender"],
            Cell(f"{row['users']:,} ({row['users'] / total:.1%})", row["users"] / total),
            f"{row['mean']:.2f}",
        )
        for row in rows
    ]
    sentence = "Only users who state none are predicted; below gender.confidence a user is left open, not guessed."
    return [Figure("Predictions", sentence, table=Table(("gender", "users", "mean probability"), cells))]


def _coverage(bins: dict[int, int]) -> list[Figure]:
    total, left, points = sum(bins.values()), sum(bins.values()), []
    for place in range(50, 101):
        points.append((place * WIDTH, left / total if total else 0.0))
        left -= bins.get(place, 0)
    if not total:
        return []
    chart = line_chart(
        "Share of users with a gender at each confidence limit",
        "gender.confidence",
        "share of users with a gender",
        [Series("users", points)],
    )
    return [Figure("Coverage", "A higher limit leaves more users open, and is right more often.", chart)]


def _calibration(files_root: Path | None, artifact: str | None) -> list[Figure]:
    file = files_root / artifact / "classifier.json" if files_root and artifact else None
    if file is None or not file.is_file():
        return []
    curve = json.loads(file.read_text(encoding="utf-8")).get("reliability", [])
    points = [(bin_["probability"], bin_["accuracy"]) for bin_ in curve if bin_["users"]]
    chart = line_chart(
        "Accuracy of predictions by their probability",
        "predicted probability",
        "share that was right",
        [Series("predictions", points), Series("perfect", [(0.5, 0.5), (1.0, 1.0)], "dashed")],
        y_from_zero=False,
    )
    sentence = "Measured on users who state a gender and were left out of training: points on the line are honest."
    return [Figure("Calibration", sentence, chart)] if chart and points else []
