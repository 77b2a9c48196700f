"""Evaluate gender classifiers by cross-validation."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Evaluate the feature sets and the majority share on the same users and folds."""
    from recsys_spark.gender.classifier_evaluation import (
        ClassifierMetrics,
        evaluate_features,
        evaluate_inductive,
        show_classifier_metrics,
    )
    from recsys_spark.gender.labelled_users import check_evaluated_users, training_users
    from recsys_spark.gender.trained_classifier import find_source

    tables, config, settings = run.tables, run.config, run.config.gender
    source = find_source(tables, config, "tf_idf" if settings.evaluated == ("tf_idf",) else "vectors")
    results: list[ClassifierMetrics] = []
    with training_users(tables, config, source) as (users, labels):
        n_users = users.count()
        check_evaluated_users(n_users, settings)
        for repeat in range(settings.repeats):
            seed = config.run.seed + repeat
            with step(f"cross-validating with seed {seed}"):
                results += evaluate_features(tables, config, users, labels, source, seed)
        if source is not None and source.version.split_id is not None:
            with step(f"evaluating on the users held out from {source.version.version}"):
                results += evaluate_inductive(tables, config, users, labels, source)
        run.count(users=n_users, judged=len(results), figures=sum(len(one.values) for one in results))
    show_classifier_metrics(results, source)


job = Job(
    "evaluate_gender",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "model files",
        "interactions",
        "splits",
        "user_index",
        "item_index",
        "users",
        "suppressions",
        "ingested_files",
    ),
    writes=("evaluations",),
    settings=("gender", "model", "evaluation.draws", "suppress.key", "outputs"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
