"""Report on the tables of a root: its content, and the file it is written to."""

import json
from datetime import UTC, datetime
from os.path import relpath
from pathlib import Path

from pyspark.sql import Row

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.logs import step
from recsys_spark.core.paths import local_path
from recsys_spark.report.activity_section import Totals, activity_section
from recsys_spark.report.charts import short_number
from recsys_spark.report.gender_section import gender_section
from recsys_spark.report.ingestion_section import ingestion_section, refused_files
from recsys_spark.report.lists_section import lists_section
from recsys_spark.report.models_section import models_section, serving_models
from recsys_spark.report.page import Headline, Report, Section, render
from recsys_spark.report.runs_section import failed_jobs, last_runs, runs_section
from recsys_spark.storage.tables import Tables

__all__ = ["build_report", "report_path", "write_report"]

MAX_ERROR_CHARACTERS = 200


def report_path(config: BaseConfig) -> Path:
    """Return report.path, or its default; raise ConfigError if it is not a local path."""
    given = config.report.path
    path = local_path(given if given is not None else f"{config.files_root}/report/report.html")
    if path is None:
        raise ConfigError(f"report.path: {given or config.files_root} is not a local path: name a file on this machine")
    return path


def build_report(tables: Tables, config: BaseConfig, path: Path) -> Report:
    """Return the report on the tables as they are now.

    The driver gets bounded summaries: no part grows with users, items or plays. Raises MissingInputError where there
    is no table of plays.
    """
    if not tables.exists("plays"):
        raise MissingInputError(f"there is no table {tables.address('plays')}: run ingest_plays first")
    files_root, serving, runs = local_path(config.files_root), serving_models(tables), last_runs(tables)
    with step("summarising ingestion"):
        ingestion = ingestion_section(tables)
    with step("summarising users and items"):
        activity, totals = activity_section(tables)
    with step("summarising models, lists and genders"):
        others = (
            models_section(tables, files_root, serving),
            lists_section(tables),
            gender_section(tables, files_root, serving),
        )
    sections = (ingestion, activity, *others, _map_section(files_root, serving, path), runs_section(runs))
    subtitle = f"{tables.address('plays').removesuffix('plays').rstrip('/.')}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    warnings = _warnings(tables, serving, runs)
    return Report("Plays, models and lists", subtitle, _headlines(totals, serving), warnings, sections)


def write_report(path: Path, report: Report) -> int:
    """Write the page atomically and return its bytes; raise ConfigError if the path cannot be written."""
    text = render(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"report.path: {path} cannot be written: {error}") from error
    return len(text.encode())


def _headlines(totals: Totals, serving: list[Row]) -> list[Headline]:
    names = ("users", "items", "pairs of user and item")
    numbers = [Headline(short_number(value), name) for name, value in zip(names, totals, strict=True)]
    served = sorted({table for row in serving for table in row["serves"]})
    return [*numbers, Headline(str(len(served)), "tables served by a model")]


def _warnings(tables: Tables, serving: list[Row], runs: list[Row]) -> list[str]:
    """Return sentences about problems, each with its remedy."""
    found = []
    for run in failed_jobs(runs):
        error = (run["error"] or "no message")[:MAX_ERROR_CHARACTERS]
        found.append(f"The last run of {run['job']} failed ({run['started_at']:%Y-%m-%d %H:%M} UTC): {error}")
    if refused := refused_files(tables):
        found.append(
            f"{refused:,} files were refused and are not in plays: see plays_quarantine, mend the files or the"
            " settings, and run ingest_plays again."
        )
    found += _outdated(tables, serving)
    return found


def _outdated(tables: Tables, serving: list[Row]) -> list[str]:
    if not tables.exists("interactions"):
        return []
    now = tables.data_version("interactions")
    old = [row["model_version"] for row in serving if json.loads(row["inputs"]).get("interactions", now) < now]
    if not old:
        return []
    return [f"Newer interactions exist than {', '.join(sorted(old))} learned from: train and publish again."]


def _map_section(files_root: Path | None, serving: list[Row], path: Path) -> Section:
    """Return a section with a link to the map of a serving model."""
    for row in serving if files_root else []:
        file = files_root / "maps" / f"{row['model_version']}.html" if files_root else path
        if file.is_file():
            link = (relpath(file, path.parent), f"Open the map of the items of {row['model_version']}")
            return Section("map", "Map of the items", empty="Similar items lie near each other.", link=link)
    return Section("map", "Map of the items", empty="There is no map yet: run build_item_map, then build_report.")
