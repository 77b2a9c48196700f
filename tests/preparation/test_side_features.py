"""Side features of profiles, counted by hand."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation import side_features as module
from recsys_spark.preparation.shards import write_shards
from recsys_spark.preparation.side_features import SideFeatures
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.shard_loader import Counts, Rows

FIELDS = ("country", "age_group", "job")
# country, age, job of users 0 to 11; user 12 has no profile.
PEOPLE = [
    *[("Perú", 30, "nurse")] * 5,
    *[(" perú ", 19, "Nurse")] * 2,
    *[("Malta", 19, None)] * 3,
    ("", None, "x" * 200),
    (None, 17, None),
]


@pytest.fixture(scope="module")
def users(spark: SparkSession) -> DataFrame:
    people = [(row, country, age, {"job": job} if job else None) for row, (country, age, job) in enumerate(PEOPLE)]
    return spark.createDataFrame(people, "row_idx INT, country STRING, age INT, attributes MAP<STRING,STRING>")


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    shape = [F.col("id").cast("int").alias("row_idx"), F.array(F.lit(3)).alias("indices")]
    return spark.range(13).select(*shape, F.array(F.lit(1.0).cast("float")).alias("values"))


def numbers_of(users: DataFrame, rows: DataFrame) -> tuple[dict[int, list[int]], int]:
    side_features = SideFeatures(users, FIELDS)
    return {row["row_idx"]: row["side"] for row in side_features.add_to(rows).collect()}, len(side_features.vocabulary)


def test_values_of_enough_users_are_numbered_by_field_and_value(users: DataFrame, rows: DataFrame) -> None:
    found, n_features = numbers_of(users, rows)
    # perú (7 users) is 1, of ages 18-24 (5) is 2 and 25-34 (5) is 3, nurse (7) is 4; malta, -17 and the rest are rare.
    of_peru, of_malta = [[1, 3, 4]] * 5 + [[1, 2, 4]] * 2, [[0, 2, 0]] * 3
    assert found == dict(enumerate([*of_peru, *of_malta, [0, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert n_features == 4


def test_of_too_many_values_the_most_frequent_are_kept(
    users: DataFrame, rows: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_VALUES", 2)
    found, n_features = numbers_of(users, rows)
    assert (found[0], found[5], found[7], n_features) == ([1, 0, 2], [1, 0, 2], [0, 0, 0], 2)


def test_profiles_without_values_give_zeros(users: DataFrame, rows: DataFrame) -> None:
    found, n_features = numbers_of(users.limit(0), rows)
    assert set(map(tuple, found.values())) == {(0, 0, 0)} and n_features == 0


def test_side_features_stay_with_their_rows_through_shards_and_shuffled_batches(
    users: DataFrame, rows: DataFrame, tmp_path: Path
) -> None:
    shard_spec = ShardSpec(side=FIELDS)
    side_features = SideFeatures(users, FIELDS)
    manifest = write_shards(rows, tmp_path / "shards", shard_spec, (13, 5), 3, 1, {"made": "here"}, side_features)
    assert type(manifest).read(tmp_path / "shards") == manifest
    assert (manifest.shard_spec, manifest.side_features) == (shard_spec, 4)
    read = Rows.concat(list(Epoch(tmp_path / "shards", manifest, 4, 1, shuffle_seed=2).batches(0, Counts())))
    assert read.numbers.tolist() != sorted(read.numbers.tolist()) and read.side is not None
    found = dict(zip(read.numbers.tolist(), read.side.tolist(), strict=True))
    assert found == numbers_of(users, rows)[0]
