"""What a batch says of users and items, one row each, merged into what was known: the latest statement wins.

Users and items that only appear in plays get a row too, so that each id of `plays` can be joined.
"""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.tables import Tables

__all__ = ["item_rows", "merge_items", "merge_users", "user_rows"]


def user_rows(plays: DataFrame | None, profiles: DataFrame | None) -> DataFrame:
    """user_id, gender, age, country, attributes: the latest known value of each field.

    plays, profiles: valid staged rows; a profile outweighs what stands on plays of the same file time.
    """
    frames = []
    if plays is not None:
        spoken = plays.select(
            "user_id", "gender", "age", "country", _no_map().alias("attributes"), *_order(F.lit(0))
        )
        # A play log repeats the same user many times: once is enough.
        frames.append(spoken.drop("attributes").distinct().withColumn("attributes", _no_map()))
    if profiles is not None:
        frames.append(profiles.select("user_id", "gender", "age", "country", "attributes", *_order(F.lit(1))))
    rows = reduce(DataFrame.unionByName, frames)
    return rows.groupBy("user_id").agg(
        *[_latest(name) for name in ("gender", "age", "country")], _latest_map("attributes")
    )


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


def merge_users(tables: Tables, rows: DataFrame, batch_id: int) -> None:
    """Adds new users and changes known ones where the batch says something else."""
    _merge(tables, "users", rows, "user_id", ("gender", "age", "country"), batch_id)


def merge_items(tables: Tables, rows: DataFrame, batch_id: int) -> None:
    """Adds new items and changes known ones where the batch says something else."""
    _merge(tables, "items", rows, "item_id", ("name",), batch_id)


def _merge(
    tables: Tables, name: str, rows: DataFrame, key: str, fields: tuple[str, ...], batch_id: int
) -> None:
    said = [f"(new.{field} IS NOT NULL AND NOT new.{field} <=> old.{field})" for field in fields]
    merged = (
        "map_zip_with(coalesce(old.attributes, map()), coalesce(new.attributes, map()),"
        " (key, before, now) -> coalesce(now, before))"
    )
    # Maps cannot be compared; their sorted entries can.
    entries = "array_sort(map_entries(coalesce({}, map())))"
    said.append(f"{entries.format(merged)} != {entries.format('old.attributes')}")
    update = {field: f"coalesce(new.{field}, old.{field})" for field in fields}
    update |= {"attributes": merged, "updated_at": "new.updated_at"}
    stamped = rows.withColumn("updated_at", F.current_timestamp())
    tables.merge(name, stamped, (key,), update, update_when=" OR ".join(said), batch_id=batch_id)


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
