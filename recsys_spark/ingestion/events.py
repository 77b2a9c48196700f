"""The identity of a play, and which rows of a batch are new.

- A timed event is one event however often it is delivered: its id is made of source, user, item and time.
- An untimed event counts each time it stands in a file; a statement (a total, a rating) is kept as it was
  made. Their ids are made of the file, the fields, and the ordinal among identical rows. For statements the
  file means this version of it, so that a changed file states everything anew.
"""

from itertools import chain

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

__all__ = ["deduplicate", "with_key"]

# Up to this many repeated keys are sent to all tasks rather than shuffled to them.
BROADCAST_KEYS = 1_000_000


def with_key(plays: DataFrame, source: str, kind: str) -> DataFrame:
    """Adds `key`, a number that rows of one identity share, and nearly no others.

    plays: source_file, file_modified_at, user_id, item_id, play_count, rating, played_at.
    """
    return plays.withColumn("key", F.xxhash64(*chain(*_parts(source, kind))))


def deduplicate(plays: DataFrame, source: str, kind: str) -> DataFrame:
    """Drops repetitions of timed events (the row of the first file by name stays) and gives `event_id`; `plays` as
    with_key gives them.

    Few rows repeat in practice: only those whose keys do are gathered and numbered, the rest never leave their task.
    """
    repeated = plays.groupBy("key").count().where("count > 1").select("key").localCheckpoint()
    number = repeated.count()
    identity = _identity(*_parts(source, kind))
    if number == 0:
        return plays.withColumn("event_id", identity).drop("key")
    if number <= BROADCAST_KEYS:
        repeated = F.broadcast(repeated)
    keyed = plays.withColumns({"identity": identity, "once": _once(kind)})
    alone = keyed.join(repeated, on="key", how="left_anti").withColumn("ordinal", F.lit(0))
    order = Window.partitionBy("identity").orderBy("source_file")
    several = keyed.join(repeated, on="key", how="left_semi").withColumn("ordinal", F.row_number().over(order) - 1)
    numbered = alone.unionByName(several.where((F.col("ordinal") == 0) | ~F.col("once")))
    suffix = F.when(F.col("ordinal") > 0, F.concat(F.lit("-"), F.col("ordinal").cast("string")))
    event_id = F.concat("identity", F.coalesce(suffix, F.lit("")))
    return numbered.withColumn("event_id", event_id).drop("key", "identity", "once", "ordinal")


def _once(kind: str) -> Column:
    """Whether a repetition is a duplicate."""
    return F.col("played_at").isNotNull() if kind == "events" else F.lit(False)


def _parts(source: str, kind: str) -> tuple[list[Column], list[Column]]:
    """What makes the identity of a row: texts, which a valid row has, and numbers, which may be null."""
    # As a number: writing a time as text costs more than hashing it.
    user_item, played_at = [F.col("user_id"), F.col("item_id")], F.unix_micros("played_at")
    if kind == "events":
        origin = F.when(_once(kind), F.lit(source)).otherwise(F.col("source_file"))
        return [origin, *user_item], [played_at]
    numbers = [F.unix_micros("file_modified_at"), F.col("play_count"), F.col("rating"), played_at]
    return [F.col("source_file"), *user_item], numbers


def _identity(texts: list[Column], numbers: list[Column]) -> Column:
    """128 bits of SHA-1, which processors have instructions for, as 32 hexadecimal digits."""
    return F.left(F.sha1(_unambiguous(texts, numbers)), F.lit(32))


def _unambiguous(texts: list[Column], numbers: list[Column]) -> Column:
    """Text that two different lists of values never share, whatever characters are in the three texts.

    Read from its end: numbers, of which none has a separator; the lengths of the first two texts, in one number, since
    each number that is written costs as much as a text; and the texts, of which the third has what is left.
    """
    first, second = (F.octet_length(text).cast("bigint") for text in texts[:2])
    all_numbers = [F.shiftleft(first, 31) + second, *numbers]
    written = [piece for number in all_numbers for piece in (F.lit(";"), F.coalesce(number.cast("string"), F.lit("")))]
    return F.concat(*texts, *written)
