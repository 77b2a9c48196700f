"""Train a calibrated gender classifier on a model's user vectors or on items."""

from pathlib import Path

from recsys_spark.core.logs import step
from recsys_spark.runtime.input_checks import check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Train the configured classifier, unless its version exists."""
    from recsys_spark.gender.classifier_training import plan_classifier, train_classifier
    from recsys_spark.publish.tracking import track_training

    plan = plan_classifier(run.tables, run.config, run.config.gender.features)
    run.report.model_version = plan.version
    if not plan.is_done(run.tables, run.config.files_root):
        with step(f"training {plan.version}"):
            folder = Path(run.config.files_root) / plan.artifact
            run.count(**train_classifier(run.tables, run.config, plan, folder))
    track_training(run.tables, run.config, plan.version)


job = Job(
    "train_gender_model",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "model files",
        "interactions",
        "user_index",
        "item_index",
        "users",
        "suppressions",
    ),
    writes=("models", "model files"),
    settings=("gender", "model", "suppress.key", "outputs", "mlflow"),
    checks=(check_tracking,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
