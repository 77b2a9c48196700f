"""Run every job from raw files to published tables, in order."""

from recsys_spark.core.names import all_kinds
from recsys_spark.runtime.input_checks import check_source_path, check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Run the steps in order, then print a summary; each step has its row in job_runs."""
    from recsys_spark.pipeline.steps import plan_steps, run_steps
    from recsys_spark.pipeline.summary import print_summary
    from recsys_spark.publish.tracking import pipeline_run

    with pipeline_run(run) as tracked:
        run_steps(tracked, plan_steps(run.config))
    report = run.report.outputs.get("report")
    print_summary(run.tables, run.config.tables.root, None if report is None else str(report))


job = Job(
    "run_pipeline",
    __doc__ or "",
    work,
    reads=(
        "raw files",
        "models",
        "item_similarity",
        "gender_predictions",
        "items",
        "interactions",
        "item_index",
        "users",
    ),
    writes=("tables of its steps",),
    settings=(
        "pipeline",
        "source",
        "sample",
        "interactions",
        "split",
        "model",
        "shards",
        "training",
        "similarity",
        "recommendations",
        "content",
        "outputs",
        "evaluation",
        "publish",
        "report",
        "gender",
        "suppress.key",
        "mlflow",
        *(f"models.{kind}" for kind in all_kinds()),
    ),
    may_be_first=True,
    checks=(check_source_path, check_tracking),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
