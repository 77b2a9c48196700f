"""Predict genders of users, or of one list of items by --items NAME ..."""

from pyspark.sql import functions as F

from recsys_spark.core.logs import step
from recsys_spark.gender.prediction_table import write_predictions
from recsys_spark.gender.title_list import predict_titles, print_prediction
from recsys_spark.gender.trained_classifier import find_classifier, load_classifier
from recsys_spark.runtime.job import Job, JobRun


def work(run: JobRun) -> None:
    """Write the predictions, unless they are up to date, or print that of one list."""
    tables, config = run.tables, run.config
    version = find_classifier(tables, config.model.version)
    run.report.model_version = version.version
    if config.query.items:
        prediction = predict_titles(
            tables, config, load_classifier(tables, config.files_root, version), config.query.items
        )
        print_prediction(prediction)
        run.count(items_known=prediction.known_items, items_unknown=len(prediction.unknown))
        return
    with step(f"predictions of {version.version}"):
        counts = write_predictions(tables, config, load_classifier(tables, config.files_root, version))
    run.count(**counts)
    written = tables.read("gender_predictions").where(F.col("model_version") == version.version)
    stated = written.groupBy(F.coalesce("gender", F.lit("unsure")).alias("gender")).count().collect()
    run.count(predictions=written.count(), **{f"predicted_{row['gender']}": row["count"] for row in stated})


job = Job(
    "predict_gender",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "item_vectors",
        "interactions",
        "user_index",
        "item_index",
        "items",
        "users",
        "suppressions",
    ),
    writes=("gender_predictions",),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
