"""shards -> models, user_vectors, item_vectors, for the kinds that train with torch. Killed, it goes on."""

import logging

from recsys_spark.factorization.training import is_trained
from recsys_spark.inference.network_training import train_network
from recsys_spark.job import Job, JobRun
from recsys_spark.logs import step
from recsys_spark.model_versions import version_name
from recsys_spark.preparation.shard_sets import plan_shards, written_shards
from recsys_spark.preparation.training_pairs import training_pairs
from recsys_spark.registry import load_network

log = logging.getLogger("recsys_spark.train_torch_model")


def work(run: JobRun) -> None:
    """A version that exists is used again: the same work gives the same name."""
    kind = run.config.network_kind()
    settings, pairs = run.config.settings_of(kind), training_pairs(run.tables, run.config)
    version = version_name(kind, settings, run.config.run.seed, pairs.data_version, pairs.split_id)
    if is_trained(run, version):
        log.info("%s is trained already", version)
        return
    shards = written_shards(plan_shards(run.tables, run.config, pairs, load_network(kind).recipe), kind)
    with step(f"training {version}"):
        train_network(run, kind, settings, version, shards)


job = Job("train_torch_model", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
