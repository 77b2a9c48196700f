"""From raw files to served tables: ingest, build, train, recommend, publish. `--pipeline.from STEP` resumes."""

from recsys_spark.pipeline.steps import plan_steps, run_steps
from recsys_spark.pipeline.summary import show
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Runs the steps in order, each a job of its own with its row in job_runs, then shows what came out."""
    run_steps(run, plan_steps(run.config))
    show(run)


job = Job("run_pipeline", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
