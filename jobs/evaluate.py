"""Evaluate models trained on one split by every metric, with intervals."""

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
from recsys_spark.preparation.held_out_pairs import judged_pairs
from recsys_spark.preparation.training_pairs import split_rows, training_pairs
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """All models are judged in one pass over the users, on the same users and the same draws."""
    if run.config.split.protocol is None:
        raise ConfigError("split.protocol is not set: name the split that the models were trained on")
    if run.config.model.fit != "train":
        raise ConfigError("model.fit is for training: evaluate judges what evaluation.models names")
    check_metrics(run.config.evaluation.metrics)
    pairs, part = training_pairs(run.tables, run.config), run.config.evaluation.part
    assert pairs.split_id is not None
    popularity = ensure_popularity(run, pairs)
    candidates = find_evaluated_models(run, pairs.split_id, popularity)
    setup = build_evaluation_setup(run, candidates, popularity, pairs.train)
    with step(f"judging {', '.join(c.version for c in candidates)} on the {part} part of {pairs.split_id}"):
        users = build_evaluation_inputs(judged_pairs(split_rows(run.tables, pairs.split_id), part), candidates)
        found = compute_metric_values(evaluate_users(users, setup), setup)
    place = EvaluatedSplit(run.config.split.protocol, pairs.split_id, part, run.config.run.seed)
    record_metric_values(run, found, {candidate.version: candidate.algorithm for candidate in candidates}, place)
    show_metric_values(found, candidates, setup)
    run.count(models=len(candidates), figures=len(found))


job = Job(
    "evaluate",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "item_vectors",
        "splits",
        "interactions",
        "user_index",
        "item_index",
        "users",
        "items",
        "ingested_files",
        "plays",
    ),
    writes=("evaluations",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
