"""List the nearest items of each item, by cosine of a model's vectors."""

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Build the lists, unless they were built from the same vectors before."""
    from pyspark.sql import functions as F

    from recsys_spark.models.versions import find_model
    from recsys_spark.recommend.cold_items import cold_items_fingerprint, load_catalogue
    from recsys_spark.recommend.names import with_item_ids
    from recsys_spark.recommend.similarity import item_similarity
    from recsys_spark.recommend.trained_model import load_model
    from recsys_spark.runtime.spark_context import block_tasks

    tables, config = run.tables, run.config
    version = find_model(tables, config.model.kind, config.model.version)
    neighbours = config.similarity.neighbours
    fingerprint = f"neighbours={neighbours}{cold_items_fingerprint(tables, config)}"
    if tables.built_from("item_similarity", version.version) == fingerprint:
        return
    catalogue = load_catalogue(tables, config, load_model(config.files_root, version))
    run.count(**catalogue.counts)
    vectors = catalogue.item_vectors
    with step(f"finding the nearest items of {vectors.n_items:,} items"):
        nearest = item_similarity(run.spark, vectors, neighbours, block_tasks(run.spark))
        rows = with_item_ids(nearest, tables.read("item_index"), "item_idx", "similar_item_idx")
        rows = rows.withColumns({"model_version": F.lit(version.version), "algorithm": F.lit(version.kind)})
        tables.replace("item_similarity", rows, "model_version", version.version, fingerprint=fingerprint)
    written = tables.read("item_similarity").where(F.col("model_version") == version.version)
    run.count(similar_items=written.count())


job = Job(
    "build_item_similarity",
    __doc__ or "",
    work,
    reads=("models", "model files", "item_index", "items", "interactions"),
    writes=("item_similarity",),
    settings=("model", "similarity", "content", "outputs"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
