"""Build of the tables interactions, user_index and item_index from plays."""

from typing import Any

from recsys_spark.config.model import InteractionsSettings
from recsys_spark.core.logs import step
from recsys_spark.preparation.increment import find_increment
from recsys_spark.preparation.indexing import extend_index
from recsys_spark.preparation.interactions import aggregate_plays, filter_support, number_plays, source_kinds
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
    numbered = number_plays(increment.affected_plays(plays), tables.read("user_index"), tables.read("item_index"))
    built_from: dict[str, Any] = {
        "plays_version": increment.plays_version,
        "plays_run": increment.plays_run,
        "fingerprint": increment.fingerprint,
    }
    with step("building interactions"):
        pairs = aggregate_plays(numbered, source_kinds(plays))
        rows = filter_support(pairs, settings.min_user_items, settings.min_item_users)
        if increment.run_ids is None:
            tables.overwrite("interactions", rows, **built_from)
        else:
            update = {name: f"new.{name}" for name in ("play_count", "rating", "last_played_at")}
            keys = ("user_idx", "item_idx")
            tables.merge("interactions", rows, keys, update, update_when=CHANGED, **built_from)
    return {**counts, "interactions": tables.read("interactions").count()}
