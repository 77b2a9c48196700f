"""interactions or a split -> models, user_vectors, item_vectors, for the kinds that train on Spark."""

import logging

from recsys_spark.factorization.training import is_trained, train
from recsys_spark.job import Job, JobRun
from recsys_spark.logs import step
from recsys_spark.model_versions import version_name
from recsys_spark.preparation.training_pairs import training_pairs

log = logging.getLogger("recsys_spark.train_spark_model")


def work(run: JobRun) -> None:
    """A version that exists is used again: the same work gives the same name."""
    kind = run.config.spark_kind()
    settings, pairs = run.config.settings_of(kind), training_pairs(run.tables, run.config)
    version = version_name(kind, settings, run.config.run.seed, pairs.data_version, pairs.split_id)
    if is_trained(run, version):
        log.info("%s is trained already", version)
        return
    with step(f"training {version}"):
        train(run, kind, settings, version, pairs)


job = Job("train_spark_model", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
