"""Evaluate models trained on one split by every metric, with intervals."""

from recsys_spark.runtime.input_checks import check_protocol, check_split, check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Evaluate the configured models, or the newest of each kind."""
    from recsys_spark.evaluation.model_evaluation import evaluate_models
    from recsys_spark.publish.tracking import track_evaluations

    run.count(**evaluate_models(run.tables, run.config))
    track_evaluations(run.tables, run.config)


job = Job(
    "evaluate",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "model files",
        "splits",
        "interactions",
        "user_index",
        "item_index",
        "users",
        "items",
        "ingested_files",
        "plays",
    ),
    writes=("evaluations", "models", "model files"),
    settings=("evaluation", "split", "outputs", "mlflow"),
    checks=(
        check_protocol,
        check_split,
        check_tracking,
    ),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
