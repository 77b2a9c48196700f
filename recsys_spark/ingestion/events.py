"""The identity of a play, and which rows of a batch are new.

- A timed event is one event however often it is delivered: its id is made of source, user, item and time.
- An untimed event counts each time it stands in a file; a statement (a total, a rating) is kept as it was
  made. Their ids are made of the file, the fields, and the ordinal among identical rows. For statements the
  file means this version of it, so that a changed file states everything anew.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

__all__ = ["deduplicate", "with_identity"]

# Up to this many repeated keys are sent to all tasks rather than shuffled to them.
BROADCAST_KEYS = 1_000_000


def with_identity(plays: DataFrame, source: str, kind: str) -> DataFrame:
    """Adds `identity` (hash without the ordinal) and `once` (whether repetitions are duplicates).

    plays: source_file, file_modified_at, user_id, item_id, play_count, rating, played_at.
    """
    user_item = [F.col("user_id"), F.col("item_id")]
    if kind == "events":
        timed = F.col("played_at").isNotNull()
        parts = [F.when(timed, F.lit(source)).otherwise(F.col("source_file")), *user_item, F.col("played_at")]
    else:
        timed = F.lit(False)
        file = [F.col("source_file"), F.col("file_modified_at")]
        parts = [*file, *user_item, F.col("play_count"), F.col("rating"), F.col("played_at")]
    return plays.withColumn("identity", F.md5(_unambiguous(parts))).withColumn("once", timed)


def deduplicate(plays: DataFrame) -> DataFrame:
    """Drops repetitions of timed events (the row of the first file by name stays) and gives `event_id`.

    Few rows repeat in practice: only those are gathered and numbered, the rest never leave their task.
    """
    keyed = plays.withColumn("key", F.xxhash64("identity"))
    repeated = keyed.groupBy("key").count().where("count > 1").select("key").localCheckpoint()
    number = repeated.count()
    if number == 0:
        return plays.withColumn("event_id", F.col("identity"))
    if number <= BROADCAST_KEYS:
        repeated = F.broadcast(repeated)
    alone = keyed.join(repeated, on="key", how="left_anti").withColumn("ordinal", F.lit(0))
    order = Window.partitionBy("identity").orderBy("source_file")
    several = keyed.join(repeated, on="key", how="left_semi").withColumn("ordinal", F.row_number().over(order) - 1)
    numbered = alone.unionByName(several.where((F.col("ordinal") == 0) | ~F.col("once")))
    suffix = F.when(F.col("ordinal") > 0, F.concat(F.lit("-"), F.col("ordinal").cast("string")))
    event_id = F.concat("identity", F.coalesce(suffix, F.lit("")))
    return numbered.withColumn("event_id", event_id).drop("key", "ordinal")


def _unambiguous(parts: list[Column]) -> Column:
    """Text that two different lists of values never share, whatever characters they hold."""
    texts = [F.coalesce(part.cast("string"), F.lit("")) for part in parts]
    return F.concat(*[piece for text in texts for piece in (F.length(text).cast("string"), F.lit(":"), text)])
