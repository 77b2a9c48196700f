"""What a batch says of users and items, one row each, merged into what was known: the latest statement wins.

Users and items that only appear in plays get a row too, so that each id of `plays` can be joined.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from recsys_spark.storage.tables import Tables

__all__ = ["News", "item_rows", "news_of", "user_rows"]

# What is known of a user beside free attributes.
SAID = ("gender", "age", "country")
FIELDS = {"users": ("user_id", SAID), "items": ("item_id", ("name",))}


class News(NamedTuple):
    """Rows of users or items that are new or say something else than is known; `known` tells which. Computed once."""

    table: str
    rows: DataFrame
    total: int
    changed: int

    def commit(self, tables: Tables, batch_id: int) -> None:
        """Commits only where there is something: an append for new ids alone, a merge where known ones change."""
        key, fields = FIELDS[self.table]
        if self.changed:
            update = {f: f"new.{f}" for f in (*fields, "attributes", "updated_at")}
            tables.merge(self.table, self.rows.drop("known"), (key,), update, batch_id=batch_id)
        elif self.total:
            tables.append(self.table, self.rows.drop("known"), batch_id=batch_id)


def user_rows(plays: DataFrame | None, profiles: DataFrame | None) -> DataFrame:
    """user_id, gender, age, country, attributes: the latest known value of each field.

    plays, profiles: valid staged rows; a profile outweighs what stands on plays of the same file time.
    """
    frames = []
    if plays is not None:
        said = reduce(Column.__or__, [F.col(name).isNotNull() for name in SAID])
        spoken = plays.where(said).select("user_id", *SAID, *_order(F.lit(0)))
        # A play log repeats the same user many times, and most logs say no more than that there is one.
        silent = plays.select("user_id").distinct()
        frames.append(spoken.distinct().withColumn("attributes", _no_map()))
        frames.append(silent)
    if profiles is not None:
        frames.append(profiles.select("user_id", *SAID, "attributes", *_order(F.lit(1))))
    rows = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), frames)
    return rows.groupBy("user_id").agg(*[_latest(name) for name in SAID], _latest_map("attributes"))


def item_rows(plays: DataFrame | None, profiles: DataFrame | None) -> DataFrame:
    """item_id, name, attributes: the name of the items file, else the one that most plays carry."""
    frames = []
    if plays is not None:
        counted = plays.groupBy("item_id", "item_name").agg(F.count(F.lit(1)).alias("plays"))
        # `max` over structs takes the larger name where two are as frequent: the order must not depend on tasks.
        best = counted.groupBy("item_id").agg(
            F.expr("max(struct(plays, item_name)) FILTER (WHERE item_name IS NOT NULL)").alias("best")
        )
        frames.append(
            best.select(
                "item_id",
                F.col("best.item_name").alias("name"),
                _no_map().alias("attributes"),
                F.lit(0).alias("weight"),
                F.lit(None).cast("timestamp").alias("file_modified_at"),
                F.lit("").alias("source_file"),
            )
        )
    if profiles is not None:
        frames.append(profiles.select("item_id", "name", "attributes", *_order(F.lit(1))))
    rows = reduce(DataFrame.unionByName, frames)
    return rows.groupBy("item_id").agg(_latest("name"), _latest_map("attributes"))


def news_of(tables: Tables, table: str, rows: DataFrame) -> Callable[[], News]:
    """What `rows` (as user_rows or item_rows give them) bring to `users` or `items`; the call computes it, in any
    thread.
    """
    key, fields = FIELDS[table]
    old = tables.read(table).select(key, *[F.col(f).alias(f"old_{f}") for f in (*fields, "attributes")])
    both = rows.join(old.withColumn("known", F.lit(True)), on=key, how="left")
    known = F.coalesce("known", F.lit(False))
    attributes = _merged_maps("old_attributes", "attributes")
    said = [F.col(f).isNotNull() & ~F.col(f).eqNullSafe(F.col(f"old_{f}")) for f in fields]
    said.append(_entries(attributes) != _entries(F.col("old_attributes")))
    news = (
        both.withColumns({"known": known, "differs": ~known | reduce(Column.__or__, said)})
        .where("differs")
        .withColumns({f: F.coalesce(f, f"old_{f}") for f in fields})
        .withColumns({"attributes": attributes, "updated_at": F.current_timestamp()})
        .select(key, *fields, "attributes", "updated_at", "known")
    )
    target: Callable[[], News] = inheritable_thread_target(news.sparkSession)(partial(_compute, table, news))
    return target


def _compute(table: str, news: DataFrame) -> News:
    news = news.localCheckpoint()
    counted = news.agg(F.count(F.lit(1)), F.count_if("known")).first()
    total, changed = counted if counted is not None else (0, 0)
    return News(table, news, total, changed)


def _merged_maps(old: str, new: str) -> Column:
    merged = F.map_zip_with(_map(F.col(old)), _map(F.col(new)), lambda _, before, now: F.coalesce(now, before))
    return F.when(F.col(old).isNotNull() | F.col(new).isNotNull(), merged)


def _entries(column: Column) -> Column:
    """Maps cannot be compared; their sorted entries can."""
    return F.array_sort(F.map_entries(_map(column)))


def _map(column: Column) -> Column:
    return F.coalesce(column, F.create_map().cast("map<string,string>"))


def _no_map() -> Column:
    return F.lit(None).cast("map<string,string>")


def _order(weight: Column) -> list[Column]:
    return [weight.alias("weight"), F.col("file_modified_at"), F.col("source_file")]


def _latest(name: str) -> Column:
    order = f"struct(file_modified_at, weight, source_file, {name})"
    return F.expr(f"max({order}) FILTER (WHERE {name} IS NOT NULL)").getField(name).alias(name)


def _latest_map(name: str) -> Column:
    order = f"struct(file_modified_at, weight, source_file, array_sort(map_entries({name})))"
    return F.expr(f"max_by({name}, {order}) FILTER (WHERE {name} IS NOT NULL)").alias(name)
