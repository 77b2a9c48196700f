"""Print neighbours of two or more models side by side, and their overlap."""

import logging

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger(__name__)


def work(run: JobRun) -> None:
    """Print the comparison; of the tables only job_runs is written."""
    from recsys_spark.recommend.neighbour_comparison import (
        agreement_in_attribute,
        compared_versions,
        items_to_show,
        stored_lists,
    )
    from recsys_spark.recommend.neighbour_tables import show_agreement, show_lists, show_overlap

    tables, settings = run.tables, run.config.compare
    items = tables.read("items")
    versions = compared_versions(tables, settings.models)
    with stored_lists(tables, settings.k, versions) as lists, step(f"comparing neighbours of {', '.join(versions)}"):
        shown = show_lists(lists, items_to_show(tables, run.config.query.items), items, versions)
        compared = show_overlap(lists, versions, settings.k)
        agreement = agreement_in_attribute(tables, settings, run.config.run.seed, lists, versions)
        measured = show_agreement(agreement, versions, settings.attribute, settings.k)
    if not measured:
        log.info("no item with %d users has a value of the attribute %r", settings.min_users, settings.attribute)
    run.count(models=len(versions), items_shown=shown, items_compared=compared, items_judged=measured)


job = Job(
    "compare_neighbours",
    __doc__ or "",
    work,
    reads=("models", "item_similarity", "items", "item_index", "interactions"),
    writes=(),
    settings=("compare", "query.items"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
