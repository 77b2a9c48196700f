"""Search for settings of a kind of model on validation data."""

import logging
from pathlib import Path

from optuna.trial import FrozenTrial
from pydantic import BaseModel

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS, protocol_of
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.core.names import NETWORKS
from recsys_spark.core.search_space import search_space_of
from recsys_spark.evaluation.search_objectives import network_objective, spark_objective
from recsys_spark.evaluation.search_records import record_trials, show_trials
from recsys_spark.evaluation.search_study import finished_trials, open_study, run_trials
from recsys_spark.metrics.ranking import is_better
from recsys_spark.models.kind import load_kind
from recsys_spark.models.versions import version_name
from recsys_spark.preparation.training_pairs import TrainingPairs, training_pairs
from recsys_spark.storage.tables import Tables

__all__ = ["search_settings"]

log = logging.getLogger("recsys_spark.search_parameters")


def search_settings(tables: Tables, config: BaseConfig) -> int:
    """Run the trials of a search, record and print them, and return their number.

    A stopped search resumes. The test part of the split is never used. Raises ConfigError for a configuration without
    validation data and for a kind without a search space.
    """
    kind, settings = config.model.kind, config.settings_of(config.model.kind)
    pairs = _validated_pairs(tables, config)
    split_id, seed = pairs.split_id, config.run.seed
    assert split_id is not None
    search_space = search_space_of(settings)
    if not search_space:
        raise ConfigError(f"models.{kind} declares no search space: choose another model.kind")
    # Named by all that is the same in every trial: the data, the settings that are not searched, the seed.
    fixed = settings.model_copy(update=dict.fromkeys(search_space))
    name = version_name(kind, fixed, seed, pairs.data_key, split_id)
    folder = Path(config.files_root) / "searches" / name
    metric = _metric_of(kind, settings)
    if (metric == "rmse") != (config.split.protocol in RATING_PROTOCOLS):
        raise ConfigError(
            f"{kind} is compared by {metric}, which {config.split.protocol} does not measure: choose another "
            "split.protocol or model.kind"
        )
    study = open_study(folder / "study.jsonl", name, is_better(metric, 1, 0))

    def record() -> None:
        record_trials(tables, name, kind, split_id, metric, seed, finished_trials(study))

    def on_finished(trial: FrozenTrial) -> None:
        values = ", ".join(f"{setting} {value}" for setting, value in trial.params.items())
        log.info("trial %d %s: %s = %s with %s", trial.number, trial.state.name.lower(), metric, trial.value, values)
        record()

    # A killed run may have finished trials without recording them.
    record()
    objective = network_objective if kind in NETWORKS else spark_objective
    with step(f"searching settings of {kind} by {metric} on the validation part of {split_id}"):
        first = {key: getattr(settings, key) for key in search_space}
        run_trials(
            study, config.search.trials, first, seed, objective(tables, config, kind, pairs, folder), on_finished
        )
    trials = finished_trials(study)
    show_trials(kind, metric, trials)
    return len(trials)


def _validated_pairs(tables: Tables, config: BaseConfig) -> TrainingPairs:
    """Return the training pairs of a split with a validation part."""
    protocol_of(config.split)
    if config.model.fit != "train":
        raise ConfigError(f"model.fit = {config.model.fit} leaves no validation data: unset it to search")
    pairs = training_pairs(tables, config)
    if pairs.held_out is None:
        raise ConfigError(
            f"{pairs.split_id} has no validation part: set split.validation_share above 0 and split again"
        )
    return pairs


def _metric_of(kind: str, settings: BaseModel) -> str:
    if kind in NETWORKS:
        # Imported here, as a cluster may have no torch.
        from recsys_spark.networks.network import load_network

        return load_network(kind).metric
    return load_kind(kind)(settings).metric
