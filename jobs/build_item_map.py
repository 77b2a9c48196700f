"""Draw the items of a model as an interactive map in one HTML file."""

from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Build the map and write its file; the same tables give the same bytes."""
    from recsys_spark.models.versions import find_model
    from recsys_spark.report.item_map import build_map, map_path, write_page

    model = find_model(run.tables, run.config.model.kind, run.config.model.version)
    path = map_path(run.config, model)
    item_map, counts = build_map(run.tables, run.config, model)
    write_page(path, item_map)
    run.count(**counts)
    run.report.outputs["item_map"] = str(path)
    print(f"item map: {path}")


job = Job(
    "build_item_map",
    __doc__ or "",
    work,
    reads=("models", "model files", "item_similarity", "item_index", "items", "interactions"),
    writes=("HTML file",),
    settings=("model", "map"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
