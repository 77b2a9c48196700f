"""interactions -> models, user_vectors, item_vectors, for the kinds that train on Spark (popularity, als)."""

import logging

from recsys_spark.factorization.training import is_trained, train
from recsys_spark.job import Job, JobRun
from recsys_spark.logs import step
from recsys_spark.model_versions import version_name

log = logging.getLogger("recsys_spark.train_spark_model")


def work(run: JobRun) -> None:
    """A version that exists is used again: the same work gives the same name."""
    kind, settings = run.config.model.kind, run.config.settings_of(run.config.model.kind)
    data_version = run.tables.data_version("interactions")
    version = version_name(kind, settings, run.config.run.seed, data_version)
    if is_trained(run, version):
        log.info("%s is trained already", version)
        return
    with step(f"training {version}"):
        train(run, kind, settings, version)


job = Job("train_spark_model", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
