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

from recsys_spark.core.errors import TrainingError
from recsys_spark.core.search_space import Choice, Range, SearchSpace

__all__ = ["draw_settings", "finished_trials", "open_study", "run_trials"]

# Why settings are worth nothing: a trial that ended in it is over, whereas one that was stopped is tried again.
FAILURE = "failure"
TRIED_AGAIN = "tried again"
# A search whose settings all fail has something else to tell.
MOST_FAILURES = 5


def open_study(file: Path, name: str, larger_is_better: bool) -> optuna.Study:
    """The study of that name in `file`, made where there is none.

    Trials that were stopped are closed, and their settings are the first to be tried again.
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
    known = set(study.user_attrs.get(TRIED_AGAIN, ()))
    for trial in study.get_trials(states=(TrialState.FAIL,)):
        if trial.number not in known and not _is_over(trial):
            study.enqueue_trial({**trial.system_attrs.get("fixed_params", {}), **trial.params})
            known.add(trial.number)
    study.set_user_attr(TRIED_AGAIN, sorted(known))
    return study


def run_trials(
    study: optuna.Study,
    n_trials: int,
    first: dict[str, Any],
    seed: int,
    objective: Callable[[Trial], float],
    told: Callable[[FrozenTrial], None],
) -> None:
    """Tries settings until `n_trials` of the study are over, those of `first` before all others.

    `told` is called after each. Settings with which training fails are over as well; raises the TrainingError of the
    last if MOST_FAILURES fail and none succeeds. Whatever else an objective raises ends the search, and its settings
    are the first to be tried when it goes on.
    """
    if not study.trials:
        study.enqueue_trial(first)

    def guarded(trial: Trial) -> float:
        try:
            return objective(trial)
        except TrainingError as error:
            trial.set_user_attr(FAILURE, str(error))
            raise

    while len(over := finished_trials(study)) < n_trials:
        # Drawn by how many are over, so that a search that was stopped draws what one never stopped would have.
        drawn = hashlib.sha256(json.dumps([seed, len(over)]).encode()).digest()
        study.sampler = TPESampler(seed=int.from_bytes(drawn[:4], "big"))
        study.optimize(guarded, n_trials=1, catch=(TrainingError,), callbacks=[lambda _, trial: told(trial)])
        failures = [trial.user_attrs[FAILURE] for trial in finished_trials(study) if FAILURE in trial.user_attrs]
        if len(failures) >= MOST_FAILURES and len(failures) == len(finished_trials(study)):
            raise TrainingError(failures[-1])


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that need not be run again: complete, given up early, or failed by their settings."""
    return [trial for trial in study.trials if _is_over(trial)]


def _is_over(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or FAILURE in trial.user_attrs


def draw_settings(trial: Trial, search_space: SearchSpace) -> dict[str, Any]:
    """A value for each setting of `search_space`."""
    return {name: _drawn(trial, name, space) for name, space in search_space.items()}


def _drawn(trial: Trial, name: str, space: Range | Choice) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(name, space.values)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)
