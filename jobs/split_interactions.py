"""Split interactions into training and held-out parts by one protocol and seed."""

import logging

from recsys_spark.config.split import protocol_of, split_id
from recsys_spark.core.logs import step
from recsys_spark.runtime.input_checks import check_protocol
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.split_interactions")


def work(run: JobRun) -> None:
    """Write the split unless it exists, and count its rows by part."""
    from pyspark.sql import functions as F

    from recsys_spark.preparation.splits import build_configured_split
    from recsys_spark.preparation.training_pairs import interactions_key

    tables, settings, seed = run.tables, run.config.split, run.config.run.seed
    protocol = protocol_of(settings)
    name = split_id(settings, seed, interactions_key(tables))
    tables.ensure("splits")
    own = F.col("split_id") == name
    if tables.read("splits").where(own).isEmpty():
        with step(f"splitting into {name}"):
            split = build_configured_split(tables, run.config)
            rows = split.withColumns({"split_id": F.lit(name), "protocol": F.lit(protocol)})
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
    checks=(check_protocol,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
