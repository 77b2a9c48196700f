"""Trials of a search in the table of trials and as a printed table."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial, TrialState
from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.metrics.ranking import is_better
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["record_trials", "show_trials"]

SHOWN = 10


def record_trials(
    tables: Tables, study: str, kind: str, split_id: str, metric: str, seed: int, trials: Sequence[FrozenTrial]
) -> None:
    """Write finished trials to the table of trials; recorded ones stay as they are."""
    tables.ensure("trials")
    rows_of_study = tables.read("trials").where(F.col("study") == study).select("number").collect()
    recorded = {row["number"] for row in rows_of_study}
    rows = [
        (
            *(study, split_id, kind, trial.number, json.dumps(trial.params, sort_keys=True), metric, trial.value),
            *(trial.state.name.lower(), trial.user_attrs.get("epochs"), trial.user_attrs.get("seconds")),
            *(seed, tables.run_id, datetime.now(UTC)),
        )
        for trial in trials
        if trial.number not in recorded
    ]
    if rows:
        frame = tables.spark.createDataFrame(rows, TABLES["trials"].schema)
        tables.merge("trials", frame, ("study", "number"), None)


def show_trials(kind: str, metric: str, trials: Sequence[FrozenTrial]) -> None:
    """Print the best trials, best first, and the flags to train with the best settings."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    complete.sort(key=lambda trial: trial.value or 0.0, reverse=is_better(metric, 1, 0))
    console = table_console(140)
    names = list(complete[0].params) if complete else []
    pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
    failed = len(trials) - len(complete) - pruned
    title = f"{kind}: {len(complete)} trials complete, {pruned} pruned, {failed} failed"
    table = Table("trial", f"{metric}, validation", *names, "seconds", title=title)
    for trial in complete[:SHOWN]:
        values = (_format_cell(trial.params[name]) for name in names)
        table.add_row(str(trial.number), f"{trial.value:.4f}", *values, f"{trial.user_attrs.get('seconds', 0):.0f}")
    console.print(table)
    if complete:
        flags = " ".join(f"--models.{kind}.{name} {_format_flag(value)}" for name, value in complete[0].params.items())
        print(f"Flags to train with the best settings: {flags}")


def _format_cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _format_flag(value)


def _format_flag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
