"""Minimum support for both sides at once: what is left when every user has enough items and every item enough users.

Leaving out an item may push a user below the minimum, and so on, hence rounds until nothing changes. What they end
in, the k-core of the graph of pairs, does not depend on their order. Each round is materialised, for plans would
otherwise grow threefold a round; the copies lie on the executors, so that losing one fails the job instead of
computing anew from the start.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError

__all__ = ["k_core"]

MAX_ROUNDS = 100


def k_core(pairs: DataFrame, min_user_items: int, min_item_users: int) -> DataFrame:
    """The pairs (user_idx, item_idx, ...; one row a pair) of the largest set in which both minimums hold.

    With one minimum alone this is a plain filter. Raises ConfigError if MAX_ROUNDS rounds do not settle it.
    """
    minimums = {"user_idx": min_user_items, "item_idx": min_item_users}
    wanted = {key: minimum for key, minimum in minimums.items() if minimum > 1}
    if len(wanted) < len(minimums):
        return _supported(pairs, wanted)
    pairs = pairs.localCheckpoint()
    n_pairs = pairs.count()
    for _ in range(MAX_ROUNDS):
        pairs = _supported(pairs, wanted).localCheckpoint()
        n_before, n_pairs = n_pairs, pairs.count()
        if n_pairs == n_before:
            return pairs
    raise ConfigError(
        f"the minimums of {min_user_items} items a user and {min_item_users} users an item are still pushing pairs "
        f"out after {MAX_ROUNDS} rounds: set one of min_user_items and min_item_users to 1, or choose lower ones"
    )


def _supported(pairs: DataFrame, minimums: dict[str, int]) -> DataFrame:
    """One round; all counts are taken on `pairs` as they came."""
    kept = pairs
    for key, minimum in minimums.items():
        enough = pairs.groupBy(key).agg(F.count(F.lit(1)).alias("n")).where(F.col("n") >= minimum).select(key)
        kept = kept.join(enough, on=key, how="left_semi")
    return kept.select(*pairs.columns)
