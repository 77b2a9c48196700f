"""Search settings of a kind of model by its metric on validation data."""

from recsys_spark.core.names import all_kinds
from recsys_spark.runtime.input_checks import check_protocol, check_split
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Search on the validation part; the test part is not used."""
    from recsys_spark.evaluation.settings_search import search_settings

    run.count(trials=search_settings(run.tables, run.config))


job = Job(
    "search_parameters",
    __doc__ or "",
    work,
    reads=("interactions", "splits", "user_index", "item_index", "users", "items", "models"),
    writes=("trials", "models"),
    settings=(
        "search",
        "model",
        "split",
        "evaluation",
        "shards",
        "training",
        "outputs",
        *(f"models.{kind}" for kind in all_kinds()),
    ),
    checks=(
        check_protocol,
        check_split,
    ),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
