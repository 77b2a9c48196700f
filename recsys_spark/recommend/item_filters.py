"""Which items may be recommended at all: the allow and deny lists."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from recsys_spark.config.output import RecommendationsSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.recommend.stored_model import n_items
from recsys_spark.runtime.job import JobRun

__all__ = ["allowed_items", "filters_fingerprint"]


def allowed_items(run: JobRun) -> NDArray[np.bool_] | None:
    """(n_items,): whether an item may be recommended; None where all may.

    The lists come from files that a person keeps, so only as many rows as these have ids reach the driver.
    Raises ConfigError for a file that cannot be read.
    """
    settings = run.config.recommendations
    if settings.allow_file is None and settings.deny_file is None:
        return None
    allowed = np.full(n_items(run), settings.allow_file is None)
    if settings.allow_file is not None:
        allowed[_numbers(run, "allow_file", settings.allow_file)] = True
    if settings.deny_file is not None:
        allowed[_numbers(run, "deny_file", settings.deny_file)] = False
    return allowed


def filters_fingerprint(settings: RecommendationsSettings) -> str:
    """Changes when the content of the lists does."""
    files = (("allow_file", settings.allow_file), ("deny_file", settings.deny_file))
    content = [_ids(key, file) if file is not None else None for key, file in files]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:12]


def _numbers(run: JobRun, key: str, file: str) -> list[int]:
    ids = run.spark.createDataFrame([(name,) for name in _ids(key, file)], "item_id STRING")
    known = run.tables.read("item_index").join(F.broadcast(ids), on="item_id", how="left_semi")
    numbers = [int(row["item_idx"]) for row in known.collect()]
    run.count(**{f"{key.removesuffix('_file')}_unknown": len(set(_ids(key, file))) - len(numbers)})
    return numbers


def _ids(key: str, file: str) -> list[str]:
    try:
        return [line for line in Path(file).read_text(encoding="utf-8").split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recommendations.{key}: {error}") from error
