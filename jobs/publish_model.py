"""Publish a model version that passes the quality gate, or roll back."""

import logging

from recsys_spark.runtime.input_checks import check_tracking
from recsys_spark.runtime.job import Job, JobRun

log = logging.getLogger("recsys_spark.publish_model")


def work(run: JobRun) -> None:
    """Publish or roll back in one commit on models, or in none if nothing changes."""
    from recsys_spark.models.versions import find_model
    from recsys_spark.publish.publication import create_views, publish, roll_back
    from recsys_spark.publish.tracking import track_publication

    if run.config.publish.rollback:
        served = roll_back(run.tables)
    else:
        model = find_model(run.tables, run.config.model.kind, run.config.model.version)
        served = {table: model.version for table in publish(run.tables, model, run.config)}
    create_views(run.tables)
    for table, version in served.items():
        log.info("%s serves %s", version, table)
    track_publication(run.tables, run.config)
    run.count(tables_served=len(served))


job = Job(
    "publish_model",
    __doc__ or "",
    work,
    reads=("evaluations", "job_runs", "models", "item_similarity", "recommendations", "gender_predictions"),
    writes=("models",),
    settings=("publish", "model", "evaluation.part", "split.protocol", "mlflow"),
    checks=(check_tracking,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
