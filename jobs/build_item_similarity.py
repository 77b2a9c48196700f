"""List the nearest items of each item, by cosine of a model's vectors."""

from pyspark.sql import functions as F

from recsys_spark.core.logs import step
from recsys_spark.models.versions import find_model
from recsys_spark.recommend.cold_items import content_fingerprint, content_items
from recsys_spark.recommend.index_names import name_items
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.recommend.stored_model import open_model
from recsys_spark.runtime.job import Job, JobRun
from recsys_spark.runtime.session import block_tasks


def work(run: JobRun) -> None:
    """Nothing is done where the same list was built from the same vectors before."""
    model = find_model(run.tables, run.config.model.kind, run.config.model.version)
    neighbours = run.config.similarity.neighbours
    fingerprint = f"neighbours={neighbours}{content_fingerprint(run)}"
    if run.tables.built_from("item_similarity", model.version) == fingerprint:
        return
    stored = open_model(run, model)
    tasks = block_tasks(run.spark)
    content = content_items(run, stored)
    vectors = stored.item_vectors if content is None else content.vectors
    with step(f"nearest items of {vectors.n_items} items"):
        nearest = item_similarity(run.spark, vectors, neighbours, tasks)
        rows = name_items(nearest, run.tables.read("item_index"), "item_idx", "similar_item_idx")
        rows = rows.withColumns({"model_version": F.lit(model.version), "algorithm": F.lit(model.kind)})
        run.tables.replace("item_similarity", rows, "model_version", model.version, fingerprint=fingerprint)
    written = run.tables.read("item_similarity").where(F.col("model_version") == model.version)
    run.count(similar_items=written.count())


job = Job(
    "build_item_similarity",
    __doc__ or "",
    work,
    reads=("models", "item_vectors", "item_index", "items", "interactions"),
    writes=("item_similarity",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
