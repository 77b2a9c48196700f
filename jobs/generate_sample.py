"""Generate raw files with planted tastes and genders, and the truth about them."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Generate the sample, unless the folder already holds the same one."""
    from recsys_spark.sample.generator import generate

    folder = run.config.sample_path
    with step(f"generating a sample of format {run.config.sample.format} in {folder}"):
        run.count(**generate(run.spark, run.config.sample, run.config.run.seed, folder))


job = Job(
    "generate_sample",
    __doc__ or "",
    work,
    reads=(),
    writes=("raw files",),
    settings=("sample", "source.path"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
