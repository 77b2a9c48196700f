"""Objectives of a search: the validation metric of a temporary model trained with drawn settings."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial
from pydantic import BaseModel

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import TrainingError
from recsys_spark.core.search_space import search_space_of
from recsys_spark.evaluation.evaluated_models import build_evaluation_setup, ensure_popularity
from recsys_spark.evaluation.evaluation_inputs import EvaluatedModel, build_evaluation_inputs
from recsys_spark.evaluation.metric_values import compute_metric_values
from recsys_spark.evaluation.search_study import draw_settings
from recsys_spark.evaluation.user_evaluation import evaluate_users
from recsys_spark.models.spark_training import fitted_model
from recsys_spark.models.training_plan import TrainingPlan, plan_version
from recsys_spark.models.versions import ModelVersion
from recsys_spark.preparation.held_out_pairs import evaluation_pairs
from recsys_spark.preparation.training_pairs import TrainingPairs, split_rows
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.storage.tables import Tables

__all__ = ["network_objective", "spark_objective"]

Objective = Callable[[Trial], float]


def _plan_trial(tables: Tables, config: BaseConfig, kind: str, pairs: TrainingPairs, trial: Trial) -> TrainingPlan:
    given: BaseModel = config.settings_of(kind)
    drawn = draw_settings(trial, search_space_of(given))
    settings = type(given).model_validate({**given.model_dump(), **drawn})
    return plan_version(tables, config, kind, settings, pairs)


def network_objective(tables: Tables, config: BaseConfig, kind: str, pairs: TrainingPairs, folder: Path) -> Objective:
    """Return an objective that trains a network and prunes trials that fall behind.

    It trains 1, 2, 4, ... epochs, each time from the last checkpoint, and reports the metric after each round.
    """
    from recsys_spark.inference.network_training import build_train_spec
    from recsys_spark.networks.network import load_network
    from recsys_spark.preparation.shard_sets import check_shards, plan_shards
    from recsys_spark.training.distributed import run_training

    shard_spec = load_network(kind).shard_spec_of(config.settings_of(kind))
    shards = plan_shards(tables, config, pairs, shard_spec)
    shards.write(pairs, config.shards.files, config.run.seed)
    check_shards(shards, kind)

    def objective(trial: Trial) -> float:
        plan, started = _plan_trial(tables, config, kind, pairs, trial), time.monotonic()
        own = folder / plan.version
        own.mkdir(parents=True, exist_ok=True)
        wanted, most = 1, plan.settings.epochs  # type: ignore[attr-defined]
        while True:
            spec = build_train_spec(config.training, plan, own, shards, stop_after=min(wanted, most))
            report = run_training(tables.spark, spec, config.training)
            if report["metric"] is None:
                raise TrainingError(
                    f"{kind} has no {report['metric_name']} on the validation part, which has no usable pairs: raise "
                    "split.validation_share and split again"
                )
            # An interrupted run may have left a checkpoint of a later epoch.
            value, done = float(report["metric"]), report["epochs"]
            trial.set_user_attr("epochs", done)
            trial.set_user_attr("seconds", time.monotonic() - started)
            trial.report(value, done)
            if done < min(wanted, most) or done >= most:
                shutil.rmtree(own)
                return value
            if trial.should_prune():
                shutil.rmtree(own)
                raise optuna.TrialPruned
            while wanted <= done:
                wanted *= 2

    return objective


def spark_objective(tables: Tables, config: BaseConfig, kind: str, pairs: TrainingPairs, folder: Path) -> Objective:
    """Return an objective that trains on Spark and evaluates on the validation part."""
    assert pairs.split_id is not None
    popularity = ensure_popularity(tables, config, pairs)
    held_out = evaluation_pairs(split_rows(tables, pairs.split_id), "validation")

    def objective(trial: Trial) -> float:
        plan, started = _plan_trial(tables, config, kind, pairs, trial), time.monotonic()
        own = folder / plan.version
        with fitted_model(tables, config, plan, own) as (model, fitted, matrix):
            trained = TrainedModel(_unrecorded_version(plan), model, own, matrix)
            models = [EvaluatedModel(trained, fitted.user_vectors)]
            setup = build_evaluation_setup(config, models, popularity, pairs.train, metrics=(model.metric,))
            values = compute_metric_values(evaluate_users(build_evaluation_inputs(held_out, models), setup), setup)
        shutil.rmtree(own)
        trial.set_user_attr("seconds", time.monotonic() - started)
        return next(value.value for value in values if value.metric == model.metric and value.slice == "all")

    return objective


def _unrecorded_version(plan: TrainingPlan) -> ModelVersion:
    """Return the version of a plan that gets no row in models."""
    split: Any = plan.row["split_id"]
    return ModelVersion(plan.version, plan.kind, plan.params, {}, plan.artifact, split, None, {}, None, None)
