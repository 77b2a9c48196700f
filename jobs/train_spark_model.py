"""Train one kind of model on Spark, on all interactions or a split."""

from recsys_spark.core.logs import step
from recsys_spark.core.names import KINDS
from recsys_spark.runtime.input_checks import check_split, check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Train the version that the configuration describes, unless it exists already."""
    from recsys_spark.models.spark_training import train
    from recsys_spark.models.training_plan import plan_training
    from recsys_spark.publish.tracking import track_training

    plan = plan_training(run.tables, run.config, run.config.spark_kind())
    run.report.model_version = plan.version
    if not plan.is_done(run.tables, run.config.files_root):
        with step(f"training {plan.version}"):
            run.count(**train(run.tables, run.config, plan))
    track_training(run.tables, run.config, plan.version)


job = Job(
    "train_spark_model",
    __doc__ or "",
    work,
    reads=("interactions", "splits", "user_index", "users", "item_index", "items"),
    writes=("models", "user_vectors", "item_vectors", "model files"),
    settings=("model", "split", "outputs", "mlflow", *(f"models.{kind}" for kind in KINDS)),
    checks=(check_split, check_tracking),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
