"""Lists of nearest items of several models: their overlap, and their agreement in an attribute.

There is no ground truth for lists of neighbours. A high overlap of two models shows that the neighbours follow from the
data. Neighbours that share a genre, which is no input of the models, show that the lists are meaningful. Random lists
(`random_lists`) give the values that chance alone reaches.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.preparation.item_features import attribute_values

__all__ = ["agreement", "item_values", "neighbour_lists", "overlaps", "random_lists"]


def neighbour_lists(similarity: DataFrame, k: int) -> DataFrame:
    """Return (model STRING, item_id STRING, neighbours ARRAY<STRING>): the k nearest items, nearest first.

    `similarity` has rows of item_similarity; `model` is the version.
    """
    near = similarity.where(F.col("position") <= k)
    lists = near.groupBy(F.col("model_version").alias("model"), "item_id").agg(
        F.array_sort(F.collect_list(F.struct("position", "similar_item_id"))).alias("ordered")
    )
    return lists.select("model", "item_id", F.col("ordered.similar_item_id").alias("neighbours"))


def random_lists(item_ids: DataFrame, k: int, seed: int) -> DataFrame:
    """Return lists of a model `random` for distinct `item_ids` (item_id STRING): k other items each.

    A list holds all other items where there are fewer than k. A hash of id and seed orders the items in a circle, and
    the neighbours of an item are the next k. So a list has no duplicates, never the item itself, and is the same in
    every run. One task sorts the ids.
    """
    order = Window.orderBy(F.xxhash64(F.lit(seed), "item_id"), "item_id")
    circle = item_ids.select("item_id", F.row_number().over(order).alias("place"))
    size = circle.agg(F.max("place").alias("size"))
    steps = F.sequence(F.lit(1), F.least(F.lit(k), F.col("size") - 1))
    walks = circle.crossJoin(F.broadcast(size)).where("size > 1").withColumn("step", F.explode(steps))
    met = walks.withColumn("place", F.pmod(F.col("place") + F.col("step") - 1, "size") + 1)
    others = circle.select("place", F.col("item_id").alias("other"))
    lists = (
        met.join(others, on="place", how="inner").groupBy("item_id").agg(F.collect_list("other").alias("neighbours"))
    )
    return lists.select(F.lit("random").alias("model"), "item_id", "neighbours")


def overlaps(lists: DataFrame) -> DataFrame:
    """Return (item_id, first, second, overlap DOUBLE) of each pair of models, first < second.

    The overlap of two lists is the number of common items divided by the length of the longer list. Items that only one
    of the models has a list of are left out.
    """
    others = lists.select("item_id", F.col("model").alias("second"), F.col("neighbours").alias("others"))
    pairs = lists.withColumnRenamed("model", "first").join(others, on="item_id", how="inner").where("first < second")
    shared = F.size(F.array_intersect("neighbours", "others"))
    longer = F.greatest(F.size("neighbours"), F.size("others"))
    return pairs.select("item_id", "first", "second", (shared / longer).alias("overlap"))


def item_values(items: DataFrame, attribute: str) -> DataFrame:
    """Return (item_id, values ARRAY<STRING>): the values of an attribute, split at `|`.

    Items without a value are left out.
    """
    values = F.array_distinct(attribute_values(F.element_at("attributes", F.lit(attribute))))
    return items.select("item_id", values.alias("values")).where(F.size("values") > 0)


def agreement(lists: DataFrame, measured: DataFrame, values: DataFrame) -> DataFrame:
    """Return (model, agreement DOUBLE, items BIGINT): how often neighbours share a value of an attribute.

    The agreement of one item is the share of its neighbours that have a value in common with it (`values`:
    item_values). A neighbour without values has none in common. The result is the mean over the items of `measured`
    (item_id) that have a value.
    """
    near = lists.join(measured, on="item_id", how="left_semi").join(values, on="item_id", how="inner")
    near = near.select("model", "item_id", "values", F.explode("neighbours").alias("neighbour"))
    other = values.select(F.col("item_id").alias("neighbour"), F.col("values").alias("other_values"))
    has_common = F.coalesce(F.arrays_overlap("values", "other_values"), F.lit(False)).cast("double")
    per_item = (
        near.join(other, on="neighbour", how="left").groupBy("model", "item_id").agg(F.mean(has_common).alias("share"))
    )
    return per_item.groupBy("model").agg(F.mean("share").alias("agreement"), F.count(F.lit(1)).alias("items"))
