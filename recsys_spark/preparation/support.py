"""Minimum support of users and items at once: the k-core of the graph of pairs.

Leaving out an item may push a user below the minimum, and the other way round, so that filters repeat until no pair is
left out. The result does not depend on their order. Each round is checkpointed, since plans would grow threefold a
round otherwise. Local checkpoints lie on the executors: losing one fails the job.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError

__all__ = ["k_core"]

MAX_ROUNDS = 100


def k_core(pairs: DataFrame, min_user_items: int, min_item_users: int) -> DataFrame:
    """Return the largest set of pairs (user_idx, item_idx, ...; one row a pair) with both minimums.

    With one minimum alone this is a plain filter. Raises ConfigError if pairs still leave after MAX_ROUNDS rounds.
    """
    minimums = {"user_idx": min_user_items, "item_idx": min_item_users}
    filters = {key: minimum for key, minimum in minimums.items() if minimum > 1}
    if len(filters) < len(minimums):
        return _supported(pairs, filters)
    pairs = pairs.localCheckpoint()
    n_pairs = pairs.count()
    for _ in range(MAX_ROUNDS):
        pairs = _supported(pairs, filters).localCheckpoint()
        n_before, n_pairs = n_pairs, pairs.count()
        if n_pairs == n_before:
            return pairs
    raise ConfigError(
        f"the minimums of {min_user_items} items a user and {min_item_users} users an item still leave out pairs "
        f"after {MAX_ROUNDS} rounds: set one of min_user_items and min_item_users to 1, or choose lower ones"
    )


def _supported(pairs: DataFrame, minimums: dict[str, int]) -> DataFrame:
    """Filter once; all counts are taken on `pairs` before filtering."""
    kept = pairs
    for key, minimum in minimums.items():
        enough = pairs.groupBy(key).agg(F.count(F.lit(1)).alias("n")).where(F.col("n") >= minimum).select(key)
        kept = kept.join(enough, on=key, how="left_semi")
    return kept.select(*pairs.columns)
