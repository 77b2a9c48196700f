"""Allow and deny lists of items."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from recsys_spark.config.recommendations import RecommendationsSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.recommend.trained_model import n_items
from recsys_spark.storage.tables import Tables

__all__ = ["AllowedItems", "allowed_items", "filters_fingerprint"]


class AllowedItems(NamedTuple):
    """The items that may be recommended: `mask` (n_items,) is True for them, None where all items are allowed.

    `counts` has the number of ids of each list that item_index does not hold.
    """

    mask: NDArray[np.bool_] | None
    counts: dict[str, int]


def allowed_items(tables: Tables, settings: RecommendationsSettings) -> AllowedItems:
    """Return the items that the allow and deny lists leave.

    The driver gets a row for each id in the two files. Raises ConfigError for a file that cannot be read.
    """
    if settings.allow_file is None and settings.deny_file is None:
        return AllowedItems(None, {})
    mask, counts = np.full(n_items(tables), settings.allow_file is None), {}
    for key, file, is_allowed in (("allow", settings.allow_file, True), ("deny", settings.deny_file, False)):
        if file is not None:
            ids = set(_read_ids(f"{key}_file", file))
            indexes = _item_indexes(tables, ids)
            mask[indexes] = is_allowed
            counts[f"{key}_unknown"] = len(ids) - len(indexes)
    return AllowedItems(mask, counts)


def filters_fingerprint(settings: RecommendationsSettings) -> str:
    """Return a hash of the content of both files."""
    files = (("allow_file", settings.allow_file), ("deny_file", settings.deny_file))
    content = [_read_ids(key, file) if file is not None else None for key, file in files]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:12]


def _item_indexes(tables: Tables, item_ids: set[str]) -> list[int]:
    rows = tables.spark.createDataFrame([(name,) for name in sorted(item_ids)], "item_id STRING")
    found = tables.read("item_index").join(F.broadcast(rows), on="item_id", how="left_semi")
    return [int(row["item_idx"]) for row in found.collect()]


def _read_ids(key: str, file: str) -> list[str]:
    try:
        return [line for line in Path(file).read_text(encoding="utf-8").split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recommendations.{key}: {error}") from error
