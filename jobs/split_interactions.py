"""Split interactions into training and held-out parts by one protocol and seed."""

import logging
from functools import partial
from typing import get_args

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.split import Protocol, split_id
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.preparation.given_folds import given_fold
from recsys_spark.preparation.splits import build_split
from recsys_spark.preparation.time_split import Plays
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.split_interactions")


def work(run: JobRun) -> None:
    """Rows per part are counted in what was written."""
    tables, settings, seed = run.tables, run.config.split, run.config.run.seed
    if settings.protocol is None:
        raise ConfigError(f"split.protocol is not set: choose one of {', '.join(get_args(Protocol))}")
    name = split_id(settings, seed, tables.data_version("interactions"))
    tables.ensure("splits")
    own = F.col("split_id") == name
    if tables.read("splits").where(own).isEmpty():
        with step(f"splitting into {name}"):
            split = _build(run)
            rows = split.withColumns({"split_id": F.lit(name), "protocol": F.lit(settings.protocol)})
            tables.replace("splits", rows, "split_id", name)
    else:
        log.info("%s exists already", name)
    parts = tables.read("splits").where(own).groupBy("part").count()
    run.count(**{part: int(number) for part, number in parts.collect()})


def _build(run: JobRun) -> DataFrame:
    tables, settings, plays, fold = run.tables, run.config.split, None, None
    indexes = partial(map, tables.read, ("user_index", "item_index"))
    if settings.protocol == "time":
        # The plays that interactions were built from, as their version names the split.
        built = next(commit.metadata for commit in tables.commits("interactions") if "plays_version" in commit.metadata)
        plays = Plays(tables.read_version("plays", built["plays_version"]), *indexes())
    if settings.protocol == "rating_folds" and settings.folds_path is not None:
        fold = given_fold(run.spark, settings.folds_path, settings.fold, *indexes())
    return build_split(tables.read("interactions"), settings, run.config.run.seed, plays, fold)


job = Job(
    "split_interactions",
    __doc__ or "",
    work,
    reads=("interactions", "plays", "user_index", "item_index"),
    writes=("splits",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
