"""A search for settings as an Optuna study: kept in a file of JSON lines, so that a killed one goes on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from recsys_spark.ranges import Choice, Range, Ranges

__all__ = ["drawn_settings", "open_study", "run_trials"]

OVER = (TrialState.COMPLETE, TrialState.PRUNED)


def open_study(file: Path, name: str, larger_is_better: bool, seed: int) -> optuna.Study:
    """The study of that name in `file`, made where there is none.

    A trial that a killed run left unfinished is closed, and its settings are the first to be tried again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file))))
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if larger_is_better else "minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    # A sampler that started from the same seed again would draw again what it drew before.
    drawn = hashlib.sha256(json.dumps([seed, len(study.trials)]).encode()).digest()
    study.sampler = TPESampler(seed=int.from_bytes(drawn[:4], "big"))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def run_trials(
    study: optuna.Study,
    n_trials: int,
    first: dict[str, Any],
    objective: Callable[[Trial], float],
    told: Callable[[FrozenTrial], None],
) -> None:
    """Tries settings until `n_trials` of the study are over, those of `first` before all others.

    `told` is called after each trial. What an objective raises ends the search; the trial can be tried again.
    """
    if not study.trials:
        study.enqueue_trial(first)
    while len(study.get_trials(states=OVER)) < n_trials:
        study.optimize(objective, n_trials=1, callbacks=[lambda _, trial: told(trial)])


def drawn_settings(trial: Trial, ranges: Ranges) -> dict[str, Any]:
    """A value for each setting of `ranges`."""
    return {name: _drawn(trial, name, space) for name, space in ranges.items()}


def _drawn(trial: Trial, name: str, space: Range | Choice) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(name, space.values)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)
