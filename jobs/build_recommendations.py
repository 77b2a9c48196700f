"""List recommendations for every user, or print them for --items NAME ... or --user ID."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Build the lists, unless they were built from the same model, plays and settings before."""
    from pyspark.sql import functions as F

    from recsys_spark.models.versions import find_model
    from recsys_spark.recommend.one_list import print_list, print_user_list
    from recsys_spark.recommend.trained_model import load_model
    from recsys_spark.recommend.user_lists import lists_fingerprint, user_lists
    from recsys_spark.runtime.spark_context import block_tasks

    tables, config = run.tables, run.config
    version = find_model(tables, config.model.kind, config.model.version)
    if config.query.items:
        run.count(**print_list(tables, config, load_model(config.files_root, version)))
        return
    if config.query.user is not None:
        run.count(**print_user_list(tables, config, version, config.query.user))
        return
    fingerprint = lists_fingerprint(tables, config)
    if tables.built_from("recommendations", version.version) == fingerprint:
        return
    with step(f"building recommendations of {version.version}"):
        lists = user_lists(tables, config, version, block_tasks(run.spark))
        run.count(**lists.counts)
        tables.replace("recommendations", lists.rows, "model_version", version.version, fingerprint=fingerprint)
    written = tables.read("recommendations").where(F.col("model_version") == version.version)
    counts = written.groupBy("origin").agg(F.count_distinct("user_id").alias("users")).collect()
    run.count(recommendations=written.count(), **{f"users_{row['origin']}": row["users"] for row in counts})


job = Job(
    "build_recommendations",
    __doc__ or "",
    work,
    reads=("models", "user_vectors", "model files", "interactions", "user_index", "item_index", "users", "items"),
    writes=("recommendations",),
    settings=("model", "recommendations", "query", "content", "outputs"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
