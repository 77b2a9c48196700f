"""Section of a report: the last runs of jobs, with their seconds and rows."""

import json

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["failed_jobs", "last_runs", "runs_section"]

SHOWN = 40
READ = 200


def last_runs(tables: Tables) -> list[Row]:
    """Return the last READ rows of job_runs, newest first."""
    if not tables.exists("job_runs"):
        return []
    rows = tables.read("job_runs").select("job", "started_at", "finished_at", "status", "rows", "error", "params")
    seconds = F.col("finished_at").cast("double") - F.col("started_at").cast("double")
    return rows.withColumn("seconds", seconds).orderBy(F.desc("started_at")).limit(READ).collect()


def failed_jobs(runs: list[Row]) -> list[Row]:
    """Return the newest run of each job whose newest run failed.

    build_report is left out, because it runs now.
    """
    newest: dict[str, Row] = {}
    for run in runs:
        newest.setdefault(run["job"], run)
    return [run for job, run in newest.items() if run["status"] == "failed" and job != "build_report"]


def runs_section(runs: list[Row]) -> Section:
    """Return the section: the last SHOWN runs of jobs in the order of their start, without whole pipelines."""
    steps = [run for run in runs if run["job"] != "run_pipeline"][:SHOWN]
    longest = max((run["seconds"] for run in steps), default=0) or 1.0
    cells = [
        (
            run["job"],
            f"{run['started_at']:%m-%d %H:%M:%S}",
            Cell(f"{run['seconds']:.1f} s", run["seconds"] / longest),
            _kind(run),
            run["status"],
            ", ".join(f"{name} {number:,}" for name, number in sorted((run["rows"] or {}).items())[:6]),
        )
        for run in reversed(steps)
    ]
    columns = ("job", "started (UTC)", "seconds", "model", "status", "rows")
    sentence = "A step that takes much longer than usual, with the same rows, wants a look at the machine."
    table = Table(columns, cells)
    return Section("runs", "Runs", [Figure("Last runs", sentence, table=table, wide=True)] if cells else [])


def _kind(run: Row) -> str:
    if not run["job"].startswith(("train_", "build_item", "build_rec", "write_shards", "publish")):
        return "-"
    return str(json.loads(run["params"]).get("model", {}).get("kind", "-"))
