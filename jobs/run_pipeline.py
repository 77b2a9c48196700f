"""Run every job from raw files to published tables, in order."""

from recsys_spark.pipeline.steps import plan_steps, run_steps
from recsys_spark.pipeline.summary import show
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Runs the steps in order, each a job of its own with its row in job_runs, then shows what came out."""
    run_steps(run, plan_steps(run.config))
    show(run)


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
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
