"""Seconds of RePlay's ALS: fit, lists of all users, nearest items of all items.

Items that a user played are left out of the lists.

Arguments: folder of Parquet files (user_idx, item_idx, play_count), rank, length of lists, neighbours, seed.
"""

import json
import sys
import time

from replay.data import Dataset, FeatureHint, FeatureInfo, FeatureSchema, FeatureType
from replay.models import ALSWrap
from replay.utils.session_handler import State

__all__ = ["main"]


def main() -> None:
    """Time the three in the session that RePlay creates, and print the seconds as JSON.

    The time of reading the pairs is left out.
    """
    rank, listed, neighbours, seed = map(int, sys.argv[2:])
    pairs = State().session.read.parquet(sys.argv[1]).select("user_idx", "item_idx", "play_count").cache()
    pairs.count()
    columns = [
        FeatureInfo("user_idx", FeatureType.CATEGORICAL, FeatureHint.QUERY_ID),
        FeatureInfo("item_idx", FeatureType.CATEGORICAL, FeatureHint.ITEM_ID),
        FeatureInfo("play_count", FeatureType.NUMERICAL, FeatureHint.RATING),
    ]
    started = time.perf_counter()
    data = Dataset(FeatureSchema(columns), pairs, check_consistency=False)
    model = ALSWrap(rank=rank, implicit_prefs=True, seed=seed)
    model.fit(data)
    fitted = time.perf_counter()
    _run(model.predict(data, k=listed, filter_seen_items=True))
    listed_at = time.perf_counter()
    _run(model.get_nearest_items(pairs.select("item_idx").distinct(), k=neighbours))
    seconds = {"fit": fitted - started, "lists": listed_at - fitted, "similar": time.perf_counter() - listed_at}
    print(json.dumps(seconds))


def _run(rows) -> None:  # type: ignore[no-untyped-def]
    rows.write.format("noop").mode("overwrite").save()


if __name__ == "__main__":
    main()
