"""Write training rows as shards that one kind of network reads."""

from recsys_spark.core.logs import step
from recsys_spark.core.names import NETWORKS
from recsys_spark.runtime.input_checks import check_split
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Write the shards of a kind unless they exist; kinds with equal rows and ShardSpec share them."""
    from recsys_spark.networks.network import load_network
    from recsys_spark.preparation.shard_sets import plan_shards
    from recsys_spark.preparation.training_pairs import training_pairs

    kind = run.config.network_kind()
    pairs = training_pairs(run.tables, run.config)
    shard_spec = load_network(kind).shard_spec_of(run.config.settings_of(kind))
    shards = plan_shards(run.tables, run.config, pairs, shard_spec)
    with step(f"writing shards to {shards.train.parent}"):
        manifests = shards.write(pairs, run.config.shards.files, run.config.run.seed)
    for part, manifest in zip(("", "validation_"), manifests, strict=False):
        run.count(**{f"{part}rows": manifest.rows, f"{part}non_zeros": manifest.non_zeros})
        run.count(**{f"{part}files": len(manifest.files)})


job = Job(
    "write_shards",
    __doc__ or "",
    work,
    reads=("interactions", "splits", "user_index", "item_index", "users"),
    writes=("shards",),
    settings=("model", "split", "shards", *(f"models.{kind}" for kind in NETWORKS)),
    checks=(check_split,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
