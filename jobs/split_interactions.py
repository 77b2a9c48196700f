"""Split interactions into training and held-out parts by one protocol and seed."""

import logging
from typing import get_args

from recsys_spark.config.split import Protocol, split_id
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.split_interactions")


def work(run: JobRun) -> None:
    """Write the split unless it exists, and count its rows by part."""
    from pyspark.sql import functions as F

    from recsys_spark.preparation.splits import build_configured_split

    tables, settings, seed = run.tables, run.config.split, run.config.run.seed
    if settings.protocol is None:
        raise ConfigError(f"split.protocol is not set: choose one of {', '.join(get_args(Protocol))}")
    name = split_id(settings, seed, tables.data_version("interactions"))
    tables.ensure("splits")
    own = F.col("split_id") == name
    if tables.read("splits").where(own).isEmpty():
        with step(f"splitting into {name}"):
            split = build_configured_split(tables, run.config)
            rows = split.withColumns({"split_id": F.lit(name), "protocol": F.lit(settings.protocol)})
            tables.replace("splits", rows, "split_id", name)
    else:
        log.info("split %s exists already", name)
    parts = tables.read("splits").where(own).groupBy("part").count()
    run.count(**{part: int(number) for part, number in parts.collect()})


job = Job(
    "split_interactions",
    __doc__ or "",
    work,
    reads=("interactions", "plays", "user_index", "item_index"),
    writes=("splits",),
    settings=("split",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
