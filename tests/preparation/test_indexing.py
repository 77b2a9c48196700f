"""Numbering of new ids in ranges."""

import random

from pyspark.sql import SparkSession

from recsys_spark.preparation.indexing import new_index_rows

STRANGE = ["", " ", "A", "a", "é", "e\u0301", "Ω", "🎤", "名前", "a\nb", "~", "0", "00"]


def test_numbers_are_the_places_in_the_order_of_all_ids_however_they_are_divided(spark: SparkSession) -> None:
    chance = random.Random(5)
    known, ids = ["m-known", "zz-known"], [*STRANGE, *(f"u{chance.randrange(10**6)}" for _ in range(300))]
    index = spark.createDataFrame([("m-known", 0), ("zz-known", 6)], "user_id STRING, user_idx INT")
    # UTF-8 sorts as its code points do.
    expected = {user: 7 + place for place, user in enumerate(sorted({*ids} - {*known}, key=str.encode))}
    given = [*ids, *ids[::3], *known]
    chance.shuffle(given)
    frame = spark.createDataFrame([(user,) for user in given], "user_id STRING").repartition(3)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        for ranges in (1, 5):
            spark.conf.set("spark.sql.shuffle.partitions", str(ranges))
            rows, number = new_index_rows(frame, index, "user")
            found = [tuple(row) for row in rows.collect()]
            assert number == len(found) == len(expected)
            assert dict(found) == expected
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
    empty, none = new_index_rows(frame.limit(0), index.limit(0), "user")
    assert (empty.collect(), none) == ([], 0)
    first, _ = new_index_rows(frame, index.limit(0), "user")
    assert min(row["user_idx"] for row in first.collect()) == 0
