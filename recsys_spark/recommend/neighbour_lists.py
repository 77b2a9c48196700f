"""The nearest items of several models beside each other: how many two lists share, and what neighbours have in common.

Lists of neighbours have no truth to be judged by. That two models agree says that what they found is in the data; that
neighbours share a genre which no model was told of says that it means something. Chance agrees as well, by as much as
`random_lists` do.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.preparation.item_features import attribute_values

__all__ = ["agreement", "neighbour_lists", "overlaps", "random_lists", "stated_values"]


def neighbour_lists(similarity: DataFrame, k: int) -> DataFrame:
    """(model STRING, item_id STRING, neighbours ARRAY<STRING>): the k nearest of each item, the nearest first, from
    rows of item_similarity; `model` is the version.
    """
    near = similarity.where(F.col("position") <= k)
    lists = near.groupBy(F.col("model_version").alias("model"), "item_id").agg(
        F.array_sort(F.collect_list(F.struct("position", "similar_item_id"))).alias("ordered")
    )
    return lists.select("model", "item_id", F.col("ordered.similar_item_id").alias("neighbours"))


def random_lists(item_ids: DataFrame, k: int, seed: int) -> DataFrame:
    """Lists of a model `random` for `item_ids` (item_id STRING, each once): k others each, or all there are.

    A hash of id and seed puts the items in a circle, and the neighbours of an item are the k behind it: never itself,
    none twice, and the same in every run. One task sorts the ids.
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
    """(item_id, first, second, overlap DOUBLE) of each two models, first < second, and each item that both have a list
    of: the share of the longer list that stands in the other.
    """
    others = lists.select("item_id", F.col("model").alias("second"), F.col("neighbours").alias("others"))
    pairs = lists.withColumnRenamed("model", "first").join(others, on="item_id", how="inner").where("first < second")
    shared = F.size(F.array_intersect("neighbours", "others"))
    longer = F.greatest(F.size("neighbours"), F.size("others"))
    return pairs.select("item_id", "first", "second", (shared / longer).alias("overlap"))


def stated_values(items: DataFrame, attribute: str) -> DataFrame:
    """(item_id, stated ARRAY<STRING>): what `items` state under an attribute, split at `|`; only items that state
    something.
    """
    stated = F.array_distinct(attribute_values(F.element_at("attributes", F.lit(attribute))))
    return items.select("item_id", stated.alias("stated")).where(F.size("stated") > 0)


def agreement(lists: DataFrame, judged: DataFrame, stated: DataFrame) -> DataFrame:
    """(model, agreement DOUBLE, items BIGINT): of the neighbours of an item the share that states something which the
    item states as well, as a mean over the `judged` (item_id) that state anything (stated_values).

    A neighbour that states nothing shares nothing.
    """
    near = lists.join(judged, on="item_id", how="left_semi").join(stated, on="item_id", how="inner")
    near = near.select("model", "item_id", "stated", F.explode("neighbours").alias("neighbour"))
    theirs = stated.select(F.col("item_id").alias("neighbour"), F.col("stated").alias("theirs"))
    shares = F.coalesce(F.arrays_overlap("stated", "theirs"), F.lit(False)).cast("double")
    of_items = (
        near.join(theirs, on="neighbour", how="left").groupBy("model", "item_id").agg(F.mean(shares).alias("own"))
    )
    return of_items.groupBy("model").agg(F.mean("own").alias("agreement"), F.count(F.lit(1)).alias("items"))
