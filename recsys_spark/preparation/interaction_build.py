"""Build of the tables interactions, user_index and item_index from plays."""

from typing import Any

from pyspark.sql import DataFrame

from recsys_spark.config.model import InteractionsSettings
from recsys_spark.core.logs import step
from recsys_spark.preparation.increment import find_increment
from recsys_spark.preparation.indexing import extend_index
from recsys_spark.preparation.interactions import aggregate_plays, filter_support, source_kinds
from recsys_spark.storage.tables import Tables

__all__ = ["build_interactions"]

CHANGED = "NOT (old.play_count <=> new.play_count AND old.rating <=> new.rating" + (
    " AND old.last_played_at <=> new.last_played_at)"
)


def build_interactions(tables: Tables, settings: InteractionsSettings) -> dict[str, int]:
    """Build interactions from the plays since the last build; return row counts, empty if there are none.

    New ids are numbered first, so that every pair written has its numbers.
    """
    plays, increment = tables.read("plays"), find_increment(tables, settings)
    if increment.is_empty:
        return {}
    for table in ("user_index", "item_index", "interactions"):
        tables.ensure(table)
    with step("numbering new users and items"):
        new_plays = increment.new_plays(plays)
        counts = {f"new_{name}s": extend_index(tables, name, new_plays) for name in ("user", "item")}
    pairs = aggregate_plays(increment.affected_plays(plays), source_kinds(plays))
    pairs = filter_support(pairs, settings.min_user_items, settings.min_item_users)
    rows = _indexed(tables, pairs)
    built_from: dict[str, Any] = {
        "plays_version": increment.plays_version,
        "plays_run": increment.plays_run,
        "fingerprint": increment.fingerprint,
    }
    with step("building interactions"):
        if increment.run_ids is None:
            tables.overwrite("interactions", rows, **built_from)
        else:
            update = {name: f"new.{name}" for name in ("play_count", "rating", "last_played_at")}
            keys = ("user_idx", "item_idx")
            tables.merge("interactions", rows, keys, update, update_when=CHANGED, **built_from)
    return {**counts, "interactions": tables.read("interactions").count()}


def _indexed(tables: Tables, pairs: DataFrame) -> DataFrame:
    indexed = pairs.join(tables.read("user_index"), on="user_id", how="inner")
    return indexed.join(tables.read("item_index"), on="item_id", how="inner")
