"""What a map shows of the tables: the most played items of a model, and who is near whom."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.core.errors import MissingInputError
from recsys_spark.models.versions import ModelVersion
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.names import users_of_items
from recsys_spark.runtime.job import JobRun

__all__ = ["MapItems", "Neighbours", "map_items", "neighbours_on_map", "similar_items"]


class MapItems(NamedTuple):
    """The items of a map, by number of users descending, then item_idx."""

    item_id: list[str]
    name: list[str]
    users: list[int]
    text: list[str | None]  # the attribute that was asked for
    vectors: NDArray[np.float32]  # (n, rank), none of them zero


class Neighbours(NamedTuple):
    """The nearest items of an item by their places on the map, and their similarity, nearest first."""

    places: list[int]
    similarity: list[float]


def map_items(run: JobRun, matrix: ItemMatrix, attribute: str) -> MapItems:
    """The items with the most users, those without a vector left out.

    The driver holds at most map.max_items of them, each with its vector. Raises MissingInputError if there is none.
    """
    tables, most = run.tables, run.config.map.max_items
    text = F.try_element_at("attributes", F.lit(attribute)).alias("text")
    named = tables.read("items").select("item_id", "name", text)
    rows = (
        users_of_items(run)
        .where(F.col("item_idx") < matrix.n_items)
        .join(named, on="item_id", how="left")
        .select("item_idx", "item_id", F.coalesce("name", "item_id").alias("name"), "users", "text")
        .orderBy(F.desc("users"), "item_idx")
    )
    found = rows.limit(most).toArrow()
    item_idx = found["item_idx"].to_numpy().astype(np.int64)
    vectors = matrix.rows(item_idx)
    has_vector = np.any(vectors != 0, axis=1)
    run.count(items=int(has_vector.sum()), items_without_vector=int((~has_vector).sum()))
    if not has_vector.any():
        raise MissingInputError("none of the most played items has a vector: train the model on newer interactions")
    kept = found.filter(has_vector)
    item_id, name, users, text = (kept[column].to_pylist() for column in ("item_id", "name", "users", "text"))
    return MapItems(item_id, name, users, text, vectors[has_vector])


def similar_items(run: JobRun, model: ModelVersion) -> DataFrame:
    """The rows of item_similarity of a version. Raises MissingInputError, naming the job, where there are none."""
    rows = run.tables.read("item_similarity").where(F.col("model_version") == model.version)
    if rows.isEmpty():
        raise MissingInputError(
            f"item_similarity has no rows of {model.version}: run build_item_similarity --model.version"
            f" {model.version} first"
        )
    return rows


def neighbours_on_map(run: JobRun, similar: DataFrame, item_id: list[str]) -> list[Neighbours]:
    """For each item of the map the nearest of its similar items that are on the map as well.

    The driver holds at most map.neighbours for each of at most map.max_items.
    """
    most = run.config.map.neighbours
    places = run.spark.createDataFrame(list(enumerate(item_id)), "place INT, item_id STRING")
    others = places.select(F.col("place").alias("other"), F.col("item_id").alias("similar_item_id"))
    nearest = Window.partitionBy("place").orderBy("position")
    rows = (
        similar.join(F.broadcast(places), on="item_id", how="inner")
        .join(F.broadcast(others), on="similar_item_id", how="inner")
        .withColumn("nth", F.row_number().over(nearest))
        .where(F.col("nth") <= most)
        .select("place", "nth", "other", "similarity")
    )
    found = rows.limit(len(item_id) * most).toArrow().sort_by([("place", "ascending"), ("nth", "ascending")])
    lists = [Neighbours([], []) for _ in item_id]
    columns = (found[name].to_pylist() for name in ("place", "other", "similarity"))
    for place, other, similarity in zip(*columns, strict=True):
        lists[place].places.append(other)
        lists[place].similarity.append(similarity)
    return lists
