"""Search settings of a kind of model by its metric on validation data."""

import logging
from pathlib import Path

from optuna.trial import FrozenTrial
from pydantic import BaseModel

from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.core.names import NETWORKS
from recsys_spark.evaluation.search_objectives import network_objective, spark_objective
from recsys_spark.evaluation.search_records import record_trials, show_trials
from recsys_spark.evaluation.search_study import finished_trials, open_study, run_trials
from recsys_spark.metrics.ranking import is_better
from recsys_spark.models.kind import load_kind
from recsys_spark.models.versions import version_name
from recsys_spark.preparation.training_pairs import TrainingPairs, training_pairs
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.search_parameters")


def work(run: JobRun) -> None:
    """Nothing is trained on, or judged by, the test part."""
    kind, settings = run.config.model.kind, run.config.settings_of(run.config.model.kind)
    pairs = _validated_pairs(run)
    assert pairs.split_id is not None
    search_space = getattr(settings, "search_space", {})
    if not search_space:
        raise ConfigError(f"models.{kind} declares no search space: choose another model.kind")
    # Named by all that is the same in every trial: the data, the settings that are not searched, the seed.
    fixed = settings.model_copy(update=dict.fromkeys(search_space))
    name = version_name(kind, fixed, run.config.run.seed, pairs.data_version, pairs.split_id)
    folder = Path(run.config.files_root) / "searches" / name
    metric = _metric_of(kind, settings)
    make = network_objective if kind in NETWORKS else spark_objective
    if (metric == "rmse") != (run.config.split.protocol in RATING_PROTOCOLS):
        raise ConfigError(f"{kind} is compared by {metric}, which {run.config.split.protocol} does not judge")
    study = open_study(folder / "study.jsonl", name, is_better(metric, 1, 0))
    split_id, seed = pairs.split_id, run.config.run.seed
    # Those that a killed run had no time to record.
    record_trials(run, name, kind, split_id, metric, finished_trials(study))

    def told(trial: FrozenTrial) -> None:
        log.info("trial %d (%s): %s with %s", trial.number, trial.state.name.lower(), trial.value, trial.params)
        record_trials(run, name, kind, split_id, metric, finished_trials(study))

    with step(f"searching settings of {kind} by {metric} on the validation part of {split_id}"):
        first = {key: getattr(settings, key) for key in search_space}
        run_trials(study, run.config.search.trials, first, seed, make(run, kind, pairs, folder), told)
    over = finished_trials(study)
    show_trials(kind, metric, over)
    run.count(trials=len(over))


def _validated_pairs(run: JobRun) -> TrainingPairs:
    if run.config.split.protocol is None:
        raise ConfigError("split.protocol is not set: settings are compared on the validation part of a split")
    if run.config.model.fit != "train":
        raise ConfigError(f"model.fit = {run.config.model.fit} leaves nothing to validate on: unset it to search")
    pairs = training_pairs(run.tables, run.config)
    if pairs.held_out is None:
        raise ConfigError(
            f"{pairs.split_id} has no validation part: set split.validation_share above 0 and split again"
        )
    return pairs


def _metric_of(kind: str, settings: BaseModel) -> str:
    if kind in NETWORKS:
        from recsys_spark.networks.network import load_network

        return load_network(kind).metric
    return load_kind(kind)(settings).metric


job = Job(
    "search_parameters",
    __doc__ or "",
    work,
    reads=("interactions", "splits", "user_index", "item_index", "users", "items", "models"),
    writes=("trials",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
