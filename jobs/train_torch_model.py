"""Train one kind of network with torch, from shards."""

from recsys_spark.core.logs import step
from recsys_spark.core.names import NETWORKS
from recsys_spark.runtime.input_checks import check_split, check_tracking
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Train the version of the configuration, unless it exists: the same work has the same name."""
    from recsys_spark.inference.network_training import train_network
    from recsys_spark.models.training_plan import plan_training
    from recsys_spark.networks.network import load_network
    from recsys_spark.preparation.shard_sets import check_shards, plan_shards
    from recsys_spark.publish.tracking import track_training

    plan = plan_training(run.tables, run.config, run.config.network_kind())
    run.report.model_version = plan.version
    if not plan.is_done(run.tables, run.config.files_root):
        shard_spec = load_network(plan.kind).shard_spec_of(plan.settings)
        shards = plan_shards(run.tables, run.config, plan.pairs, shard_spec)
        check_shards(shards, plan.kind)
        with step(f"training {plan.version}"):
            run.count(**train_network(run.tables, run.config, plan, shards))
    track_training(run.tables, run.config, plan.version)


job = Job(
    "train_torch_model",
    __doc__ or "",
    work,
    reads=("shards", "interactions", "splits", "user_index", "item_index", "users"),
    writes=("models", "user_vectors", "item_vectors", "model files"),
    settings=("model", "split", "shards", "training", "outputs", "mlflow", *(f"models.{kind}" for kind in NETWORKS)),
    checks=(check_split, check_tracking),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
