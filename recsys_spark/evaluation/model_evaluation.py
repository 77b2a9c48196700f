"""Evaluation of the models of one split, recorded in evaluations and printed."""

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import protocol_of
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.evaluation.evaluated_models import (
    build_evaluation_setup,
    check_metrics,
    ensure_popularity,
    find_evaluated_models,
)
from recsys_spark.evaluation.evaluation_inputs import build_evaluation_inputs
from recsys_spark.evaluation.metric_records import EvaluatedSplit, record_metric_values, show_metric_values
from recsys_spark.evaluation.metric_values import compute_metric_values
from recsys_spark.evaluation.user_evaluation import evaluate_users
from recsys_spark.preparation.held_out_pairs import evaluation_pairs
from recsys_spark.preparation.training_pairs import split_rows, training_pairs
from recsys_spark.storage.tables import Tables

__all__ = ["evaluate_models"]


def evaluate_models(tables: Tables, config: BaseConfig) -> dict[str, int]:
    """Evaluate models on one part of a split and return counts of models and values.

    All models are evaluated in one pass over the users, with the same users and bootstrap draws. Raises ConfigError for
    a configuration without a split, MissingInputError for a missing model or split.
    """
    protocol = protocol_of(config.split)
    if config.model.fit != "train":
        raise ConfigError(
            f"model.fit = {config.model.fit} is a setting of training: unset it, and name versions in evaluation.models"
        )
    check_metrics(config.evaluation.metrics)
    pairs, part = training_pairs(tables, config), config.evaluation.part
    assert pairs.split_id is not None
    popularity = ensure_popularity(tables, config, pairs)
    models = find_evaluated_models(tables, config, pairs.split_id, popularity)
    setup = build_evaluation_setup(config, models, popularity, pairs.train)
    with step(f"evaluating {', '.join(model.version for model in models)} on the {part} part of {pairs.split_id}"):
        inputs = build_evaluation_inputs(evaluation_pairs(split_rows(tables, pairs.split_id), part), models)
        values = compute_metric_values(evaluate_users(inputs, setup), setup)
    split = EvaluatedSplit(protocol, pairs.split_id, part, config.run.seed)
    record_metric_values(tables, values, {model.version: model.algorithm for model in models}, split)
    show_metric_values(values, models, setup)
    return {"models": len(models), "figures": len(values)}
