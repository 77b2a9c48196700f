"""Popularity among all users, and by country and age group.

A listener without plays has a profile only. The most played items of the same country and age group fit better than
those of all users, if the group is large enough. Otherwise a larger group is used.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.recommendations import RecommendationsSettings
from recsys_spark.models.popularity import GroupPopularityScorer, Popularity
from recsys_spark.models.settings.popularity import PopularitySettings
from recsys_spark.preparation.age_groups import age_group
from recsys_spark.ranking.matrix_frames import vectors_to_arrow
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.recommend.trained_model import n_items
from recsys_spark.storage.tables import Tables

__all__ = [
    "PopularLists",
    "group_candidates",
    "group_counts",
    "group_sizes",
    "groups_fingerprint",
    "member_groups",
    "popular_folder",
    "popular_lists",
    "popular_scorer",
]

ALL_USERS = 0
# In seconds.
WEEK = 7 * 24 * 3600
KEY = "struct<country:string,age_group:string>"
INPUTS = ("interactions", "users", "user_index")


@dataclass(frozen=True)
class PopularLists:
    """The popularity scorer that lists fall back on, and the groups it distinguishes.

    `groups` has the group of each user in one (user_idx INT, popular_group INT); None where there are no groups.
    `counts` has the number of groups to report, where groups are configured.
    """

    scorer: Scorer
    groups: DataFrame | None
    counts: dict[str, int] = field(default_factory=dict)

    def with_groups(self, users: DataFrame) -> DataFrame:
        """Add the column popular_group to `users`, if there are groups."""
        return users if self.groups is None else users.join(self.groups, on="user_idx", how="left")


def popular_lists(tables: Tables, config: BaseConfig) -> PopularLists:
    """Return popularity by the groups of `recommendations.popular_by`.

    Where no group is large enough, all users count. The driver gets one small row a group, of which there are at most
    `recommendations.popular_max_groups`.
    """
    settings = config.recommendations
    if not settings.popular_by:
        return PopularLists(popular_scorer(tables, config), None)
    limit, size = config.outputs.max_item_matrix_bytes, n_items(tables)
    most = min(settings.popular_max_groups, limit // (4 * max(size, 1)) - 1)
    candidates = _candidates(tables, settings)
    interactions = tables.read("interactions")
    kept = group_sizes(candidates, interactions, settings.popular_min_users, max(most, 0))
    counts = {"popular_groups": len(kept)}
    if not kept:
        return PopularLists(popular_scorer(tables, config), None, counts)
    numbers = tables.spark.createDataFrame(
        [(row["key"], number) for number, row in enumerate(kept, start=1)], f"key {KEY}, number INT"
    )
    groups = member_groups(candidates, numbers)
    folder = popular_folder(config.files_root, _folder_name(tables, config))
    matrix = write_item_matrix(group_counts(interactions, groups, len(kept)), folder, size, limit)
    finest = groups.select("user_idx", F.element_at("numbers", 1).alias("popular_group"))
    return PopularLists(GroupPopularityScorer(matrix), finest, counts)


def popular_scorer(tables: Tables, config: BaseConfig) -> Scorer:
    """Return the popularity scorer of the present interactions.

    It is the fallback for users without a vector or a usable history.
    """
    popularity = Popularity(PopularitySettings())
    folder = popular_folder(config.files_root, f"all-{tables.data_state('interactions')}")
    fitted = popularity.fit(tables.read("interactions"), folder, config.run.seed, 1)
    limit = config.outputs.max_item_matrix_bytes
    assert isinstance(fitted.matrix, DataFrame)
    return popularity.scorer(write_item_matrix(fitted.matrix, folder, n_items(tables), limit))


def popular_folder(files_root: str, name: str) -> Path:
    """Create and return the folder of the play counts of one state of the data.

    Each delivery of plays adds a folder. Folders that no run has asked for in a week are removed. A run that still
    reads a folder has asked for it within that time.
    """
    folder, now = Path(files_root) / "popular" / name, time.time()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        if other.is_dir() and now - other.stat().st_mtime > WEEK:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def groups_fingerprint(tables: Tables, settings: RecommendationsSettings) -> str:
    """Return a text that changes when the groups or their lists may change; empty where no groups are configured."""
    return f" {_settings(settings)} users={tables.data_state('users')}" if settings.popular_by else ""


def group_candidates(users: DataFrame, popular_by: tuple[str, ...]) -> DataFrame:
    """Return (user_idx INT, level INT, key STRUCT<country, age_group>): the groups each user may belong to.

    `users` has user_idx, country and age. Level 0 is the finest group. Users without country and age have no row.
    """
    country = F.nullif(F.trim("country"), F.lit("")) if "country" in popular_by else F.lit(None)
    group = age_group(F.col("age")) if "age_group" in popular_by else F.lit(None)
    profiles = users.select("user_idx", country.cast("string").alias("country"), group.cast("string").alias("age"))
    unset = F.lit(None).cast("string")
    levels = F.array(
        _key(F.col("country"), F.col("age"), F.col("country").isNotNull() & F.col("age").isNotNull()),
        _key(F.col("country"), unset, F.col("country").isNotNull()),
        _key(unset, F.col("age"), F.col("age").isNotNull()),
    )
    return profiles.select("user_idx", F.posexplode(levels).alias("level", "key")).where("key IS NOT NULL")


def group_sizes(candidates: DataFrame, interactions: DataFrame, min_users: int, most: int) -> list[Row]:
    """Return (key, users) of the groups with at least `min_users` users who have plays.

    At most `most` groups are returned, ordered by size descending, then by country and age group.
    """
    players = interactions.select("user_idx").distinct()
    counted = candidates.join(players, on="user_idx", how="left_semi").groupBy("key").agg(F.count("*").alias("users"))
    largest = counted.where(F.col("users") >= min_users).orderBy(F.desc("users"), "key.country", "key.age_group")
    return largest.limit(most).collect()


def member_groups(candidates: DataFrame, numbers: DataFrame) -> DataFrame:
    """Return (user_idx INT, numbers ARRAY<INT>): the groups of `numbers` (key, number) of each user, finest first."""
    found = candidates.join(F.broadcast(numbers), on="key", how="inner")
    place = F.struct("level", "number")
    return (
        found.groupBy("user_idx")
        .agg(F.sort_array(F.collect_list(place)).alias("places"))
        .select("user_idx", F.col("places.number").alias("numbers"))
    )


def group_counts(interactions: DataFrame, groups: DataFrame, n_groups: int) -> DataFrame:
    """Return (item_idx INT, vector ARRAY<FLOAT> of length 1 + n_groups): users of each group who played the item.

    The first entry counts all users. To the count of a group a share below one is added that grows with the count of
    all users. So ties within a group go to the item with more users, and items that the group has not played come last.
    """
    member = F.concat(F.array(F.lit(ALL_USERS)), F.coalesce("numbers", F.array().cast("array<int>")))
    pairs = interactions.select("user_idx", "item_idx").join(groups, on="user_idx", how="left")
    counted = pairs.select("item_idx", F.explode(member).alias("number")).groupBy("item_idx", "number").count()
    items = counted.groupBy("item_idx").agg(F.collect_list(F.struct("number", "count")).alias("counts"))
    users = F.broadcast(interactions.agg(F.count_distinct("user_idx").alias("users")))
    columns = ("item_idx", "users", F.col("counts.number").alias("numbers"), F.col("counts.count").alias("counts"))
    dense = partial(_dense, n_groups)
    return items.join(users, how="cross").select(*columns).mapInArrow(dense, "item_idx INT, vector ARRAY<FLOAT>")


def _dense(n_groups: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if not batch.num_rows:
            continue
        counts = np.zeros((batch.num_rows, 1 + n_groups))
        rows = np.repeat(np.arange(batch.num_rows), batch["numbers"].value_lengths().to_numpy())
        counts[rows, batch["numbers"].flatten().to_numpy()] = batch["counts"].flatten().to_numpy()
        counts[:, 1:] += (counts[:, 0] / (batch["users"].to_numpy() + 1))[:, None]
        yield vectors_to_arrow("item_idx", batch["item_idx"].to_numpy(), counts.astype(np.float32))


def _candidates(tables: Tables, settings: RecommendationsSettings) -> DataFrame:
    index = tables.read("user_index").where("user_id IS NOT NULL")
    users = index.join(tables.read("users"), on="user_id", how="inner").select("user_idx", "country", "age")
    return group_candidates(users, settings.popular_by)


def _key(country: Column, age_group: Column, is_known: Column) -> Column:
    return F.when(is_known, F.struct(country.alias("country"), age_group.alias("age_group")))


def _settings(settings: RecommendationsSettings) -> str:
    return f"{sorted(settings.popular_by)} {settings.popular_min_users} {settings.popular_max_groups}"


def _folder_name(tables: Tables, config: BaseConfig) -> str:
    states = [tables.data_state(name) for name in INPUTS]
    limit = config.outputs.max_item_matrix_bytes
    text = f"{_settings(config.recommendations)} {limit} {states}"
    return f"groups-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
