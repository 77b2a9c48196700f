"""New or changed user and item rows of a batch; the latest value of each field wins.

Users and items that only appear in plays get a row too, so that each id of `plays` can be joined.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from recsys_spark.storage.tables import Tables

__all__ = ["ProfileChanges", "item_rows", "prepare_changes", "user_rows"]

# Fields of a user beside the free attributes.
PROFILE_FIELDS = ("gender", "age", "country")
FIELDS = {"users": ("user_id", PROFILE_FIELDS), "items": ("item_id", ("name",))}


class ProfileChanges(NamedTuple):
    """New or changed user and item rows, computed once.

    The BOOLEAN column `exists` of `rows` is true for the `changed` ones, whose id the table has already.
    """

    table: str
    rows: DataFrame
    total: int
    changed: int

    def commit(self, tables: Tables, batch_id: int) -> None:
        """Append the rows where all ids are new, merge them where existing ids change; commit nothing if empty."""
        key, fields = FIELDS[self.table]
        if self.changed:
            update = {f: f"new.{f}" for f in (*fields, "attributes", "updated_at")}
            tables.merge(self.table, self.rows.drop("exists"), (key,), update, batch_id=batch_id)
        elif self.total:
            tables.append(self.table, self.rows.drop("exists"), batch_id=batch_id)


def user_rows(plays: DataFrame | None, profiles: DataFrame | None) -> DataFrame:
    """Return user_id, gender, age, country and attributes with the latest value of each field.

    plays, profiles: valid staged rows. A profile outweighs the fields of plays of the same file time.
    """
    frames = []
    if plays is not None:
        has_profile = reduce(Column.__or__, [F.col(name).isNotNull() for name in PROFILE_FIELDS])
        stated = plays.where(has_profile).select("user_id", *PROFILE_FIELDS, *_order(F.lit(0)))
        # A play log repeats the same user many times, and most logs have only the id.
        ids = plays.select("user_id").distinct()
        frames.append(stated.distinct().withColumn("attributes", _no_map()))
        frames.append(ids)
    if profiles is not None:
        frames.append(profiles.select("user_id", *PROFILE_FIELDS, "attributes", *_order(F.lit(1))))
    rows = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), frames)
    return rows.groupBy("user_id").agg(*[_latest(name) for name in PROFILE_FIELDS], _latest_map("attributes"))


def item_rows(plays: DataFrame | None, profiles: DataFrame | None) -> DataFrame:
    """Return item_id, name (of the items file, else of most plays) and attributes."""
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


def prepare_changes(tables: Tables, table: str, rows: DataFrame) -> Callable[[], ProfileChanges]:
    """Return a function that computes the changes of `users` or `items`, in any thread.

    rows: the result of user_rows or item_rows.
    """
    key, fields = FIELDS[table]
    old = tables.read(table).select(key, *[F.col(f).alias(f"old_{f}") for f in (*fields, "attributes")])
    both = rows.join(old.withColumn("exists", F.lit(True)), on=key, how="left")
    exists = F.coalesce("exists", F.lit(False))
    attributes = _merged_maps("old_attributes", "attributes")
    differences = [F.col(f).isNotNull() & ~F.col(f).eqNullSafe(F.col(f"old_{f}")) for f in fields]
    differences.append(_entries(attributes) != _entries(F.col("old_attributes")))
    changes = (
        both.withColumns({"exists": exists, "differs": ~exists | reduce(Column.__or__, differences)})
        .where("differs")
        .withColumns({f: F.coalesce(f, f"old_{f}") for f in fields})
        .withColumns({"attributes": attributes, "updated_at": F.current_timestamp()})
        .select(key, *fields, "attributes", "updated_at", "exists")
    )
    in_thread = inheritable_thread_target(changes.sparkSession)
    target: Callable[[], ProfileChanges] = in_thread(partial(_compute, table, changes))
    return target


def _compute(table: str, changes: DataFrame) -> ProfileChanges:
    rows = changes.localCheckpoint()
    counted = rows.agg(F.count(F.lit(1)), F.count_if("exists")).first()
    total, changed = counted if counted is not None else (0, 0)
    return ProfileChanges(table, rows, total, changed)


def _merged_maps(old: str, new: str) -> Column:
    merged = F.map_zip_with(_map(F.col(old)), _map(F.col(new)), lambda _, before, now: F.coalesce(now, before))
    return F.when(F.col(old).isNotNull() | F.col(new).isNotNull(), merged)


def _entries(column: Column) -> Column:
    """Return the sorted entries of a map, which can be compared, unlike maps."""
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
