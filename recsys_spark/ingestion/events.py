"""Identity of plays, and removal of duplicates within a batch.

- A timed event counts once however often it is delivered: its id is made of source, user, item and time.
- An untimed event counts each time it occurs in a file, and a total or rating is kept as given. Their ids are made of
  the file, the fields, and the ordinal among identical rows. For totals and ratings the modification time of the file
  is part of the id, so that every row of a changed file is new. Where a file states different values for one user,
  item and time, the larger value is kept: the rows of a file have no order in Spark.
"""

from itertools import chain

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window, WindowSpec

__all__ = ["deduplicate", "with_key"]

# Up to this many repeated keys are broadcast; more are shuffled.
BROADCAST_KEYS = 1_000_000
# A file states one total or rating of these.
STATEMENT = ("source_file", "user_id", "item_id", "played_at")


def with_key(plays: DataFrame, source: str, kind: str) -> DataFrame:
    """Add `key`, a 64-bit hash that duplicates have in common.

    plays: source_file, file_modified_at, user_id, item_id, play_count, rating, played_at.
    """
    parts = chain(*_parts(source, kind)) if kind == "events" else STATEMENT
    return plays.withColumn("key", F.xxhash64(*parts))


def deduplicate(plays: DataFrame, source: str, kind: str) -> DataFrame:
    """Drop repeated timed events and contradicted statements, and replace `key` by `event_id`.

    plays: the result of with_key. Of a repeated event the row of the first file by name stays, of the totals or ratings
    that a file states for one user, item and time those with the largest value.

    Few rows repeat in practice: only rows with repeated keys are shuffled and numbered.
    """
    repeated = plays.groupBy("key").count().where("count > 1").select("key").localCheckpoint()
    number = repeated.count()
    identity = _identity(*_parts(source, kind))
    if number == 0:
        return plays.withColumn("event_id", identity).drop("key")
    if number <= BROADCAST_KEYS:
        repeated = F.broadcast(repeated)
    keyed = plays.withColumn("identity", identity)
    unique = keyed.join(repeated, on="key", how="left_anti").withColumn("ordinal", F.lit(0))
    order, is_kept = _order_and_choice(kind)
    duplicated = keyed.join(repeated, on="key", how="left_semi").withColumns(
        {"ordinal": F.row_number().over(order) - 1, "rank": F.rank().over(order)}
    )
    numbered = unique.unionByName(duplicated.where(is_kept).drop("rank"))
    suffix = F.when(F.col("ordinal") > 0, F.concat(F.lit("-"), F.col("ordinal").cast("string")))
    event_id = F.concat("identity", F.coalesce(suffix, F.lit("")))
    return numbered.withColumn("event_id", event_id).drop("key", "identity", "ordinal")


def _order_and_choice(kind: str) -> tuple[WindowSpec, Column]:
    """Return the order of possible duplicates, and the condition to keep a row."""
    if kind == "events":
        return Window.partitionBy("identity").orderBy("source_file"), (F.col("ordinal") == 0) | ~_has_time()
    largest_first = F.col("play_count").desc_nulls_last(), F.col("rating").desc_nulls_last()
    return Window.partitionBy(*STATEMENT).orderBy(*largest_first), F.col("rank") == 1


def _has_time() -> Column:
    return F.col("played_at").isNotNull()


def _parts(source: str, kind: str) -> tuple[list[Column], list[Column]]:
    """Return the fields that identify a row: texts, which valid rows have, and numbers, which may be null."""
    # A time as a number: formatting it as text costs more than hashing it.
    user_item, played_at = [F.col("user_id"), F.col("item_id")], F.unix_micros("played_at")
    if kind == "events":
        origin = F.when(_has_time(), F.lit(source)).otherwise(F.col("source_file"))
        return [origin, *user_item], [played_at]
    numbers = [F.unix_micros("file_modified_at"), F.col("play_count"), F.col("rating"), played_at]
    return [F.col("source_file"), *user_item], numbers


def _identity(texts: list[Column], numbers: list[Column]) -> Column:
    """Return 128 bits of SHA-1, which processors have instructions for, as 32 hexadecimal digits."""
    return F.left(F.sha1(_unambiguous(texts, numbers)), F.lit(32))


def _unambiguous(texts: list[Column], numbers: list[Column]) -> Column:
    """Return a text that differs for any two different lists of values.

    It can be decoded from its end, whatever characters are in the three texts: numbers without a separator inside; one
    number with the lengths of the first two texts, since formatting a number costs as much as a text; and the texts, of
    which the third is the remainder.
    """
    first, second = (F.octet_length(text).cast("bigint") for text in texts[:2])
    all_numbers = [F.shiftleft(first, 31) + second, *numbers]
    suffix = [piece for number in all_numbers for piece in (F.lit(";"), F.coalesce(number.cast("string"), F.lit("")))]
    return F.concat(*texts, *suffix)
