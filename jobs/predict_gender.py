"""Predict genders of users, or of one list of items by --items NAME ..."""

import logging

from recsys_spark.core.logs import step
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.predict_gender")


def work(run: JobRun) -> None:
    """Write the predictions, unless they are up to date, or print that of one list."""
    from pyspark.sql import functions as F

    from recsys_spark.gender.prediction_table import write_predictions
    from recsys_spark.gender.title_list import predict_titles
    from recsys_spark.gender.title_prediction import print_prediction
    from recsys_spark.gender.trained_classifier import find_classifier, load_classifier

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
    with step(f"predicting genders with {version.version}"):
        counts = write_predictions(tables, config, load_classifier(tables, config.files_root, version))
    run.count(**counts)
    written = tables.read("gender_predictions").where(F.col("model_version") == version.version)
    stated = written.groupBy(F.coalesce("gender", F.lit("unsure")).alias("gender")).count().collect()
    predictions = sum(row["count"] for row in stated)
    run.count(predictions=predictions, **{f"predicted_{row['gender']}": row["count"] for row in stated})
    if not predictions:
        log.warning(
            "no user to predict for: every user with gender.min_items = %d items or more states a gender. Set"
            " gender.all_users = true to predict for them as well",
            config.gender.min_items,
        )


job = Job(
    "predict_gender",
    __doc__ or "",
    work,
    reads=(
        "models",
        "user_vectors",
        "model files",
        "interactions",
        "user_index",
        "item_index",
        "items",
        "users",
        "suppressions",
    ),
    writes=("gender_predictions",),
    settings=("model.version", "gender", "query.items", "suppress.key"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
