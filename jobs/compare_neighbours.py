"""Print neighbours of two or more models side by side, and their overlap."""

import logging

from recsys_spark.core.logs import step
from recsys_spark.recommend.neighbour_comparison import agreement_of, compared_versions, known_items, stored_lists
from recsys_spark.recommend.neighbour_tables import show_agreement, show_lists, show_overlap
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger(__name__)


def work(run: JobRun) -> None:
    """Prints, and writes no table but job_runs."""
    settings, items = run.config.compare, run.tables.read("items")
    versions = compared_versions(run)
    with stored_lists(run, versions) as lists, step(f"neighbours of {', '.join(versions)}"):
        shown = show_lists(lists, known_items(run), items, versions)
        compared = show_overlap(lists, versions, settings.k)
        judged = show_agreement(agreement_of(run, lists, versions), versions, settings.attribute, settings.k)
    if not judged:
        log.info("no item with %d users states anything as %r", settings.min_users, settings.attribute)
    run.count(models=len(versions), items_shown=shown, items_compared=compared, items_judged=judged)


job = Job(
    "compare_neighbours",
    __doc__ or "",
    work,
    reads=("models", "item_similarity", "items", "item_index", "interactions"),
    writes=(),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
