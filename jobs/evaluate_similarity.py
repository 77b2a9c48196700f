"""Evaluate lists of similar items on a split: held-out items among them, popularity, hubs, agreement."""

from recsys_spark.runtime.input_checks import check_protocol, check_split, check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Evaluate the versions of compare.models."""
    from recsys_spark.evaluation.similarity_evaluation import evaluate_similarity
    from recsys_spark.publish.tracking import track_evaluations

    run.count(**evaluate_similarity(run.tables, run.config))
    track_evaluations(run.tables, run.config)


job = Job(
    "evaluate_similarity",
    __doc__ or "",
    work,
    reads=("item_similarity", "models", "splits", "interactions", "user_index", "item_index", "ingested_files"),
    writes=("evaluations",),
    settings=(
        "compare.models",
        "compare.k",
        "evaluation.part",
        "evaluation.draws",
        "model.fit",
        "split",
        "mlflow",
    ),
    checks=(check_protocol, check_split, check_tracking),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
