"""What is popular where a stranger comes from: by country, by age group, and by both.

Of a listener without plays only the profile is known. A list of the same country and age group says more than one of
everybody, as long as enough people stand behind it; where they do not, a larger group does.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.config.output import RecommendationsSettings
from recsys_spark.models.popularity import GroupPopularityScorer
from recsys_spark.preparation.age_groups import AGES, band_of
from recsys_spark.ranking.item_matrix import write_item_matrix
from recsys_spark.ranking.matrix_frames import vectors_to_arrow
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.recommend.stored_model import n_items, popular_folder, popular_scorer
from recsys_spark.runtime.job import JobRun

__all__ = [
    "PopularLists",
    "group_candidates",
    "group_counts",
    "group_sizes",
    "groups_fingerprint",
    "member_groups",
    "popular_lists",
]

EVERYBODY = 0
KEY = "struct<country:string,age_group:string>"
INPUTS = ("interactions", "users", "user_index")


@dataclass(frozen=True)
class PopularLists:
    """The fallback of recommending, and the group of each user that has one (user_idx INT, popular_group INT); None
    where there are no groups.
    """

    scorer: Scorer
    groups: DataFrame | None

    def with_groups(self, users: DataFrame) -> DataFrame:
        """`users` with the column that the scorer wants."""
        return users if self.groups is None else users.join(self.groups, on="user_idx", how="left")


def popular_lists(run: JobRun) -> PopularLists:
    """Popular items by group, as `recommendations.popular_by` says; everybody's where no group is large enough.

    The driver gets one small row a group, of which there are at most `recommendations.popular_max_groups`.
    """
    settings = run.config.recommendations
    if not settings.popular_by:
        return PopularLists(popular_scorer(run), None)
    limit, size = run.config.outputs.max_item_matrix_bytes, n_items(run)
    most = min(settings.popular_max_groups, limit // (4 * max(size, 1)) - 1)
    candidates = _candidates(run)
    interactions = run.tables.read("interactions")
    kept = group_sizes(candidates, interactions, settings.popular_min_users, max(most, 0))
    run.count(popular_groups=len(kept))
    if not kept:
        return PopularLists(popular_scorer(run), None)
    numbers = run.spark.createDataFrame(
        [(row["key"], number) for number, row in enumerate(kept, start=1)], f"key {KEY}, number INT"
    )
    groups = member_groups(candidates, numbers)
    folder = popular_folder(run.config.files_root, _folder_name(run))
    counts = group_counts(interactions, groups, len(kept))
    matrix = write_item_matrix(counts, folder, size, limit)
    finest = groups.select("user_idx", F.element_at("numbers", 1).alias("popular_group"))
    return PopularLists(GroupPopularityScorer(matrix), finest)


def groups_fingerprint(run: JobRun) -> str:
    """Changes when users may be in other groups, or groups may like other items; empty where there are none."""
    settings = run.config.recommendations
    return f" {_settings(settings)} users={run.tables.data_version('users')}" if settings.popular_by else ""


def group_candidates(users: DataFrame, popular_by: tuple[str, ...]) -> DataFrame:
    """(user_idx INT, level INT, key STRUCT<country, age_group>) from `users` (user_idx, country, age): the groups that
    a user would belong to, the finest (level 0) first; none for a user of whom neither is known.
    """
    country = F.nullif(F.trim("country"), F.lit("")) if "country" in popular_by else F.lit(None)
    age_group = band_of(F.col("age"), AGES) if "age_group" in popular_by else F.lit(None)
    known = users.select("user_idx", country.cast("string").alias("country"), age_group.cast("string").alias("age"))
    nothing = F.lit(None).cast("string")
    levels = F.array(
        _key(F.col("country"), F.col("age"), F.col("country").isNotNull() & F.col("age").isNotNull()),
        _key(F.col("country"), nothing, F.col("country").isNotNull()),
        _key(nothing, F.col("age"), F.col("age").isNotNull()),
    )
    return known.select("user_idx", F.posexplode(levels).alias("level", "key")).where("key IS NOT NULL")


def group_sizes(candidates: DataFrame, interactions: DataFrame, min_users: int, most: int) -> list[Row]:
    """(key, users) of the groups that at least `min_users` users with plays belong to, at most `most`, the largest
    first, then by name.
    """
    players = interactions.select("user_idx").distinct()
    counted = candidates.join(players, on="user_idx", how="left_semi").groupBy("key").agg(F.count("*").alias("users"))
    largest = counted.where(F.col("users") >= min_users).orderBy(F.desc("users"), "key.country", "key.age_group")
    return largest.limit(most).collect()


def member_groups(candidates: DataFrame, numbers: DataFrame) -> DataFrame:
    """(user_idx INT, numbers ARRAY<INT>): the groups of `numbers` (key, number) that each user is in, finest first."""
    found = candidates.join(F.broadcast(numbers), on="key", how="inner")
    place = F.struct("level", "number")
    return (
        found.groupBy("user_idx")
        .agg(F.sort_array(F.collect_list(place)).alias("places"))
        .select("user_idx", F.col("places.number").alias("numbers"))
    )


def group_counts(interactions: DataFrame, groups: DataFrame, n_groups: int) -> DataFrame:
    """(item_idx INT, vector ARRAY<FLOAT>), of 1 + n_groups: how many users of each group played the item, everybody
    first.

    To a group's count comes a share below one that grows with everybody's: ties go to the item that more people like,
    and what none of the group has played comes last.
    """
    member = F.concat(F.array(F.lit(EVERYBODY)), F.coalesce("numbers", F.array().cast("array<int>")))
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


def _candidates(run: JobRun) -> DataFrame:
    index = run.tables.read("user_index").where("user_id IS NOT NULL")
    users = index.join(run.tables.read("users"), on="user_id", how="inner").select("user_idx", "country", "age")
    return group_candidates(users, run.config.recommendations.popular_by)


def _key(country: Column, age_group: Column, is_known: Column) -> Column:
    return F.when(is_known, F.struct(country.alias("country"), age_group.alias("age_group")))


def _settings(settings: RecommendationsSettings) -> str:
    return f"{sorted(settings.popular_by)} {settings.popular_min_users} {settings.popular_max_groups}"


def _folder_name(run: JobRun) -> str:
    versions = [run.tables.data_version(name) for name in INPUTS]
    limit = run.config.outputs.max_item_matrix_bytes
    text = f"{_settings(run.config.recommendations)} {limit} {versions}"
    return f"groups-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
