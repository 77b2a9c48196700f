"""List recommendations for every user, or print them for --items NAME ..."""

from pyspark.sql import functions as F

from recsys_spark.core.logs import step
from recsys_spark.models.versions import ModelVersion, find_model
from recsys_spark.recommend.cold_items import content_fingerprint, served_items
from recsys_spark.recommend.index_names import name_items, name_users
from recsys_spark.recommend.item_filters import allowed_items, filters_fingerprint
from recsys_spark.recommend.one_list import print_list
from recsys_spark.recommend.popular_groups import groups_fingerprint, popular_lists
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.recommend.stored_model import open_model, vectors_of
from recsys_spark.runtime.job import Job, JobRun
from recsys_spark.runtime.session import block_tasks


def work(run: JobRun) -> None:
    """Nothing is done where the same lists were built from the same model and plays before."""
    model = find_model(run.tables, run.config.model.kind, run.config.model.version)
    if run.config.query.items:
        print_list(run, open_model(run, model))
        return
    fingerprint = _fingerprint(run)
    if run.tables.built_from("recommendations", model.version) == fingerprint:
        return
    with step(f"recommendations of {model.version}"):
        _build(run, model, fingerprint)
    written = run.tables.read("recommendations").where(F.col("model_version") == model.version)
    counts = written.groupBy("origin").agg(F.count_distinct("user_id").alias("users")).collect()
    run.count(recommendations=written.count(), **{f"users_{row['origin']}": row["users"] for row in counts})


def _build(run: JobRun, model: ModelVersion, fingerprint: str) -> None:
    settings, tables = run.config.recommendations, run.tables
    stored = open_model(run, model)
    interactions = stored.kind.with_confidence(tables.read("interactions"), stored.folder)
    vectors = vectors_of(run, "user_vectors", model.version)
    users = recommendation_users(tables.read("user_index"), vectors, interactions, stored.kind.history_order)
    items = served_items(run, stored)
    lists = ListSettings(settings.top_k, settings.filter_seen, allowed_items(run), items.predicted)
    popular = popular_lists(run)
    users, tasks = popular.with_groups(users), block_tasks(run.spark)
    rows = recommend(users, items.scorer, popular.scorer, lists, tasks)
    rows = name_users(name_items(rows, tables.read("item_index"), "item_idx"), tables.read("user_index"))
    rows = rows.withColumns({"model_version": F.lit(model.version), "algorithm": F.lit(model.kind)})
    tables.replace("recommendations", rows, "model_version", model.version, fingerprint=fingerprint)


def _fingerprint(run: JobRun) -> str:
    settings = run.config.recommendations
    versions = [run.tables.data_version(name) for name in ("interactions", "user_index")]
    lists = f"{settings.top_k} {settings.filter_seen} {filters_fingerprint(settings)} {versions}"
    return f"{lists}{groups_fingerprint(run)}{content_fingerprint(run)}"


job = Job(
    "build_recommendations",
    __doc__ or "",
    work,
    reads=("models", "user_vectors", "item_vectors", "interactions", "user_index", "item_index", "users", "items"),
    writes=("recommendations",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
