"""What was tried, in a table and on the screen."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial, TrialState
from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.metrics.ranking import is_better
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.schemas import TABLES

__all__ = ["record_trials", "show_trials"]

SHOWN = 10


def record_trials(
    run: JobRun, study: str, kind: str, split_id: str, metric: str, trials: Sequence[FrozenTrial]
) -> None:
    """Adds trials that are over to the table of trials; those that are there stay as they are."""
    run.tables.ensure("trials")
    there = run.tables.read("trials").where(F.col("study") == study).select("number").collect()
    known = {row["number"] for row in there}
    rows = [
        (
            *(study, split_id, kind, trial.number, json.dumps(trial.params, sort_keys=True), metric, trial.value),
            *(trial.state.name.lower(), trial.user_attrs.get("epochs"), trial.user_attrs.get("seconds")),
            *(run.config.run.seed, run.report.run_id, datetime.now(UTC)),
        )
        for trial in trials
        if trial.number not in known
    ]
    if rows:
        frame = run.spark.createDataFrame(rows, TABLES["trials"].schema)
        run.tables.merge("trials", frame, ("study", "number"), None)


def show_trials(kind: str, metric: str, trials: Sequence[FrozenTrial]) -> None:
    """Prints the best trials, the best first, and the flags that train with the settings of the first."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    done.sort(key=lambda trial: trial.value or 0.0, reverse=is_better(metric, 1, 0))
    console = table_console(140)
    names = list(done[0].params) if done else []
    pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
    failed = len(trials) - len(done) - pruned
    title = f"{kind}: {len(done)} trials to their end, {pruned} given up early, {failed} failed"
    table = Table("trial", f"{metric}, validation", *names, "seconds", title=title)
    for trial in done[:SHOWN]:
        values = (_short(trial.params[name]) for name in names)
        table.add_row(str(trial.number), f"{trial.value:.4f}", *values, f"{trial.user_attrs.get('seconds', 0):.0f}")
    console.print(table)
    if done:
        flags = " ".join(f"--models.{kind}.{name} {_whole(value)}" for name, value in done[0].params.items())
        print(f"The best, for the training jobs: {flags}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _whole(value)


def _whole(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
