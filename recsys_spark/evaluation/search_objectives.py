"""What settings are worth: the validation metric of a model that is trained with them, and then thrown away."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial
from pydantic import BaseModel

from recsys_spark.core.errors import TrainingError
from recsys_spark.evaluation.evaluated_models import build_evaluation_setup, ensure_popularity
from recsys_spark.evaluation.evaluation_inputs import EvaluatedModel, build_evaluation_inputs
from recsys_spark.evaluation.metric_values import compute_metric_values
from recsys_spark.evaluation.search_study import draw_settings
from recsys_spark.evaluation.user_evaluation import evaluate_users
from recsys_spark.models.spark_training import fitted_model
from recsys_spark.models.training_plan import TrainingPlan, plan_version
from recsys_spark.models.versions import ModelVersion
from recsys_spark.preparation.held_out_pairs import judged_pairs
from recsys_spark.preparation.training_pairs import TrainingPairs, split_rows
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.runtime.job import JobRun

__all__ = ["network_objective", "spark_objective"]

Objective = Callable[[Trial], float]


def _planned(run: JobRun, kind: str, pairs: TrainingPairs, trial: Trial) -> TrainingPlan:
    given: BaseModel = run.config.settings_of(kind)
    drawn = draw_settings(trial, given.search_space)  # type: ignore[attr-defined]
    return plan_version(
        run.tables, run.config, kind, type(given).model_validate({**given.model_dump(), **drawn}), pairs
    )


def network_objective(run: JobRun, kind: str, pairs: TrainingPairs, folder: Path) -> Objective:
    """Trains 1, 2, 4, ... epochs, going on from checkpoints, and gives up where others were better by then."""
    from recsys_spark.inference.network_training import build_train_spec
    from recsys_spark.networks.network import load_network
    from recsys_spark.preparation.shard_sets import plan_shards, written_shards
    from recsys_spark.training.distributed import run_training

    shard_spec = load_network(kind).shard_spec_of(run.config.settings_of(kind))
    shards = plan_shards(run.tables, run.config, pairs, shard_spec)
    shards.write(pairs, run.config.shards.files, run.config.run.seed)
    shards = written_shards(shards, kind)

    def objective(trial: Trial) -> float:
        plan, started = _planned(run, kind, pairs, trial), time.monotonic()
        own = folder / plan.version
        own.mkdir(parents=True, exist_ok=True)
        wanted, most = 1, plan.settings.epochs  # type: ignore[attr-defined]
        while True:
            told = build_train_spec(run, plan, own, shards, stop_after=min(wanted, most))
            report = run_training(run.spark, told, run.config.training)
            if report["metric"] is None:
                raise TrainingError(f"{kind} gave no {report['metric_name']} on the validation part")
            # More than was wanted where an earlier run had come further.
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


def spark_objective(run: JobRun, kind: str, pairs: TrainingPairs, folder: Path) -> Objective:
    """Trains on Spark, and judges on the validation part as `evaluate` does."""
    assert pairs.split_id is not None
    popularity = ensure_popularity(run, pairs)
    held_out = judged_pairs(split_rows(run.tables, pairs.split_id), "validation")

    def objective(trial: Trial) -> float:
        plan, started = _planned(run, kind, pairs, trial), time.monotonic()
        own = folder / plan.version
        with fitted_model(run.tables, run.config, plan, own) as (model, fitted, matrix):
            stored = TrainedModel(_version(plan), model, own, matrix)
            candidates = [EvaluatedModel(stored, fitted.user_vectors)]
            setup = build_evaluation_setup(run, candidates, popularity, pairs.train, metrics=(model.metric,))
            found = compute_metric_values(evaluate_users(build_evaluation_inputs(held_out, candidates), setup), setup)
        shutil.rmtree(own)
        trial.set_user_attr("seconds", time.monotonic() - started)
        return next(figure.value for figure in found if figure.metric == model.metric and figure.slice == "all")

    return objective


def _version(plan: TrainingPlan) -> ModelVersion:
    """As models would have it, were it kept."""
    split: Any = plan.row["split_id"]
    return ModelVersion(plan.version, plan.kind, plan.params, {}, plan.artifact, split, None, {}, None, None)
