"""List the nearest items of each item, by a model's vectors or by shared users."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Build the lists, unless they were built from the same inputs before."""
    from recsys_spark.recommend.similarity_lists import plan_lists

    lists = plan_lists(run.tables, run.config)
    if run.config.similarity.has_version:
        run.report.model_version = lists.version
    if not lists.is_written(run.tables):
        with step(f"finding the nearest items of each item for {lists.version}"):
            run.count(**lists.write(run.tables))
    lists.record(run.tables)


job = Job(
    "build_item_similarity",
    __doc__ or "",
    work,
    reads=("models", "model files", "item_index", "items", "user_index", "interactions", "splits"),
    writes=("item_similarity", "models", "model files"),
    settings=("model", "similarity", "split", "content", "outputs"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
