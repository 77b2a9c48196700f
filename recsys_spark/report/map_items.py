"""Items of a map and their neighbours, read from the tables."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.core.errors import MissingInputError
from recsys_spark.models.versions import ModelVersion
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.names import users_per_item
from recsys_spark.storage.tables import Tables

__all__ = ["MapItems", "Neighbours", "read_map_items", "read_neighbours", "read_similar_items"]


class MapItems(NamedTuple):
    """Items of a map, by number of users descending, then item_idx."""

    item_id: list[str]
    name: list[str]
    users: list[int]
    text: list[str | None]  # value of the requested attribute
    vectors: NDArray[np.float32]  # (n, rank), none of them zero
    without_vector: int  # items left out because they have no vector


class Neighbours(NamedTuple):
    """Nearest items of one item: their places on the map and similarities, nearest first."""

    places: list[int]
    similarity: list[float]


def read_map_items(tables: Tables, matrix: ItemMatrix, attribute: str, max_items: int) -> MapItems:
    """Return the `max_items` items with the most users that have a vector.

    The driver holds these items with their vectors. Raises MissingInputError if no item has a vector.
    """
    text = F.try_element_at("attributes", F.lit(attribute)).alias("text")
    named = tables.read("items").select("item_id", "name", text)
    rows = (
        users_per_item(tables)
        .where(F.col("item_idx") < matrix.n_items)
        .join(named, on="item_id", how="left")
        .select("item_idx", "item_id", F.coalesce("name", "item_id").alias("name"), "users", "text")
        .orderBy(F.desc("users"), "item_idx")
    )
    found = rows.limit(max_items).toArrow()
    item_idx = found["item_idx"].to_numpy().astype(np.int64)
    vectors = matrix.rows(item_idx)
    has_vector = np.any(vectors != 0, axis=1)
    if not has_vector.any():
        raise MissingInputError(
            "the model has no vector for any of the most played items: train it on newer interactions"
        )
    kept = found.filter(has_vector)
    item_id, name, users, text = (kept[column].to_pylist() for column in ("item_id", "name", "users", "text"))
    return MapItems(item_id, name, users, text, vectors[has_vector], int((~has_vector).sum()))


def read_similar_items(tables: Tables, model: ModelVersion) -> DataFrame:
    """Return the rows of item_similarity of a model version.

    Raises MissingInputError, naming the job to run, if there are none.
    """
    rows = tables.read("item_similarity").where(F.col("model_version") == model.version)
    if rows.isEmpty():
        raise MissingInputError(
            f"item_similarity has no rows of {model.version}: run build_item_similarity --model.version"
            f" {model.version} first"
        )
    return rows


def read_neighbours(similar: DataFrame, item_id: list[str], max_neighbours: int) -> list[Neighbours]:
    """Return the nearest items of each item that are on the map too.

    `similar` holds rows of item_similarity. The driver holds `max_neighbours` rows for each item.
    """
    places = similar.sparkSession.createDataFrame(list(enumerate(item_id)), "place INT, item_id STRING")
    others = places.select(F.col("place").alias("other"), F.col("item_id").alias("similar_item_id"))
    nearest = Window.partitionBy("place").orderBy("position")
    rows = (
        similar.join(F.broadcast(places), on="item_id", how="inner")
        .join(F.broadcast(others), on="similar_item_id", how="inner")
        .withColumn("nth", F.row_number().over(nearest))
        .where(F.col("nth") <= max_neighbours)
        .select("place", "nth", "other", "similarity")
    )
    found = rows.limit(len(item_id) * max_neighbours).toArrow().sort_by([("place", "ascending"), ("nth", "ascending")])
    lists = [Neighbours([], []) for _ in item_id]
    columns = (found[name].to_pylist() for name in ("place", "other", "similarity"))
    for place, other, similarity in zip(*columns, strict=True):
        lists[place].places.append(other)
        lists[place].similarity.append(similarity)
    return lists
