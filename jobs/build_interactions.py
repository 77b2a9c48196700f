"""Sum plays to one row a pair, with stable numbers of users and items."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Update the pairs with new plays, or build all pairs if needed."""
    from recsys_spark.preparation.indexing import extend_index
    from recsys_spark.preparation.interaction_build import build_interactions

    tables, config = run.tables, run.config
    with tables.lock("interactions"):
        run.count(**build_interactions(tables, config.interactions))
        if config.content.enabled:
            # After the played items, so that these have the same numbers with and without content.
            with step("numbering items without plays"):
                run.count(new_items=extend_index(tables, "item", tables.read("items")))


job = Job(
    "build_interactions",
    __doc__ or "",
    work,
    reads=("plays", "items"),
    writes=("user_index", "item_index", "interactions"),
    settings=("interactions", "content.enabled"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
