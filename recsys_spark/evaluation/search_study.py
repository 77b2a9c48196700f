"""Resumable search for settings: an Optuna study in a file of JSON lines."""

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

from recsys_spark.core.errors import TrainingError
from recsys_spark.core.search_space import Choice, Range, SearchSpace

__all__ = ["draw_settings", "finished_trials", "open_study", "run_trials"]

# Trial attribute with the TrainingError of its settings. A failed trial without it was stopped, and is tried again.
FAILURE = "failure"
# Study attribute with the numbers of the stopped trials whose settings are queued again.
TRIED_AGAIN = "tried again"
# A search whose first settings all fail is ended: the cause is hardly the settings.
MAX_FAILURES = 5


def open_study(file: Path, name: str, larger_is_better: bool) -> optuna.Study:
    """Open the study `name` in `file`, or create it.

    Stopped trials are closed and their settings queued to be tried first.
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
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    queued = set(study.user_attrs.get(TRIED_AGAIN, ()))
    for trial in study.get_trials(states=(TrialState.FAIL,)):
        if trial.number not in queued and not _is_finished(trial):
            study.enqueue_trial({**trial.system_attrs.get("fixed_params", {}), **trial.params})
            queued.add(trial.number)
    study.set_user_attr(TRIED_AGAIN, sorted(queued))
    return study


def run_trials(
    study: optuna.Study,
    n_trials: int,
    first: dict[str, Any],
    seed: int,
    objective: Callable[[Trial], float],
    on_finished: Callable[[FrozenTrial], None],
) -> None:
    """Try settings until `n_trials` of the study are finished, those of `first` before all others.

    `on_finished` is called after each trial. Settings with which training fails count as finished. Raises the
    TrainingError of the last trial if MAX_FAILURES fail and none succeeds. Any other error of an objective ends the
    search; the next run tries its settings first.
    """
    if not study.trials:
        study.enqueue_trial(first)

    def guarded(trial: Trial) -> float:
        try:
            return objective(trial)
        except TrainingError as error:
            trial.set_user_attr(FAILURE, str(error))
            raise

    while len(finished := finished_trials(study)) < n_trials:
        # Seeded by the number of finished trials: a resumed search draws the settings of an uninterrupted one.
        drawn = hashlib.sha256(json.dumps([seed, len(finished)]).encode()).digest()
        study.sampler = TPESampler(seed=int.from_bytes(drawn[:4], "big"))
        study.optimize(guarded, n_trials=1, catch=(TrainingError,), callbacks=[lambda _, trial: on_finished(trial)])
        failures = [trial.user_attrs[FAILURE] for trial in finished_trials(study) if FAILURE in trial.user_attrs]
        if len(failures) >= MAX_FAILURES and len(failures) == len(finished_trials(study)):
            raise TrainingError(failures[-1])


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that are complete, pruned, or failed by their settings."""
    return [trial for trial in study.trials if _is_finished(trial)]


def _is_finished(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or FAILURE in trial.user_attrs


def draw_settings(trial: Trial, search_space: SearchSpace) -> dict[str, Any]:
    """Return one drawn value for each setting of the search space."""
    return {name: _draw(trial, name, space) for name, space in search_space.items()}


def _draw(trial: Trial, name: str, space: Range | Choice) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(name, space.values)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)
