"""Evaluate gender classifiers by cross-validation."""

from recsys_spark.core.logs import step
from recsys_spark.gender.classifier_evaluation import (
    ClassifierMetrics,
    evaluate_features,
    evaluate_inductive,
    show_classifier_metrics,
)
from recsys_spark.gender.labelled_users import training_users
from recsys_spark.gender.trained_classifier import source_of
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Every feature set is judged on the same users and folds, the majority share beside them."""
    settings = run.config.gender
    source = source_of(run, "tf_idf" if settings.evaluated == ("tf_idf",) else "vectors")
    found: list[ClassifierMetrics] = []
    with training_users(run, source) as (users, labels):
        for repeat in range(settings.repeats):
            seed = run.config.run.seed + repeat
            with step(f"cross-validation with seed {seed}"):
                found += evaluate_features(run, users, labels, source, seed)
        if source is not None and source.version.split_id is not None:
            with step(f"users whom {source.version.version} has not seen"):
                found += evaluate_inductive(run, users, labels, source)
        run.count(users=users.count(), judged=len(found), figures=sum(len(judged.figures) for judged in found))
    show_classifier_metrics(found, source)


job = Job(
    "evaluate_gender",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "item_vectors",
        "interactions",
        "splits",
        "user_index",
        "item_index",
        "users",
        "suppressions",
        "ingested_files",
    ),
    writes=("evaluations",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
