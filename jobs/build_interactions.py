"""Sum plays to one row a pair, with stable numbers of users and items."""

from typing import Any

from pyspark.sql import DataFrame

from recsys_spark.core.logs import step
from recsys_spark.preparation.increment import Increment, increment
from recsys_spark.preparation.indexing import extend_index
from recsys_spark.preparation.interactions import aggregate_plays, filter_support, origins_of
from recsys_spark.runtime.job import Job, JobRun

CHANGED = "NOT (old.play_count <=> new.play_count AND old.rating <=> new.rating" + (
    " AND old.last_played_at <=> new.last_played_at)"
)


def work(run: JobRun) -> None:
    """Numbers new ids first, so that every pair that is written has its numbers."""
    tables, settings = run.tables, run.config.interactions
    with tables.lock("interactions"):
        plays = tables.read("plays")
        todo = increment(tables, settings)
        if not todo.is_empty:
            _build(run, todo, plays)
        if run.config.content.enabled:
            # Behind the played ones, which keep the numbers that they would have had.
            with step("numbering items without plays"):
                run.count(new_items=extend_index(tables, "item", tables.read("items")))


def _build(run: JobRun, todo: Increment, plays: DataFrame) -> None:
    tables, settings = run.tables, run.config.interactions
    for table in ("user_index", "item_index", "interactions"):
        tables.ensure(table)
    with step("numbering new users and items"):
        for name in ("user", "item"):
            run.count(**{f"new_{name}s": extend_index(tables, name, todo.new_plays(plays))})
    pairs = aggregate_plays(todo.affected_plays(plays), origins_of(plays))
    pairs = filter_support(pairs, settings.min_user_items, settings.min_item_users)
    rows = _numbered(run, pairs)
    built_from: dict[str, Any] = {
        "plays_version": todo.plays_version,
        "plays_run": todo.plays_run,
        "fingerprint": todo.fingerprint,
    }
    with step("building interactions"):
        if todo.run_ids is None:
            tables.overwrite("interactions", rows, **built_from)
        else:
            update = {name: f"new.{name}" for name in ("play_count", "rating", "last_played_at")}
            keys = ("user_idx", "item_idx")
            tables.merge("interactions", rows, keys, update, update_when=CHANGED, **built_from)
    run.count(interactions=tables.read("interactions").count())


def _numbered(run: JobRun, pairs: DataFrame) -> DataFrame:
    numbered = pairs.join(run.tables.read("user_index"), on="user_id", how="inner")
    return numbered.join(run.tables.read("item_index"), on="item_id", how="inner")


job = Job(
    "build_interactions",
    __doc__ or "",
    work,
    reads=("plays", "items"),
    writes=("user_index", "item_index", "interactions"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
