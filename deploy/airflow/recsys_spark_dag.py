"""The steps of run_pipeline as an Airflow DAG, one spark-submit a step.

The workers of Airflow need spark-submit, and the checkout or image of this project at RECSYS_HOME. The connection
`spark_default` names the master. docs/how-to/schedule.md shows its use.
"""

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException

HOME = os.environ.get("RECSYS_HOME", "/srv/recsys")
# The settings of every step. A later file or flag wins.
SETTINGS = [
    "--config",
    f"{HOME}/conf/cluster.yaml",
    "--source.format",
    "plays",
    "--source.path",
    "hdfs:///raw/plays/*.csv",
    # The columns of your files; without a time every row counts as a play of its own, without a name items have none.
    "--source.columns.item_name",
    "title",
    "--source.columns.played_at",
    "played_at",
]
# The steps of run_pipeline for these settings: (job, kind of its model or None).
STEPS = [
    ("ingest_plays", None),
    ("build_interactions", None),
    ("train_spark_model", "popularity"),
    ("train_spark_model", "als"),
    ("build_recommendations", "popularity"),
    ("build_item_similarity", "als"),
    ("build_recommendations", "als"),
    ("publish_model", "als"),
    ("build_report", None),
]
# Properties of conf/spark-cluster.conf with paths below the checkout, which is not the working folder of Airflow.
LOG_SETTINGS = f"{HOME}/recsys_spark/resources/log4j2.properties"
PROPERTIES = {
    "spark.files": LOG_SETTINGS,
    "spark.driver.extraJavaOptions": f"-XX:-DontCompileHugeMethods -Dlog4j2.configurationFile={LOG_SETTINGS}",
}
# Exit codes that the same command gives again: configuration, data quality, a missing input, the quality gate.
FINAL = {2, 3, 4, 7}


class JobOperator(SparkSubmitOperator):  # type: ignore[misc]
    """Submission of a job; a failure that a retry cannot change fails the task at once."""

    def execute(self, context: Any) -> None:
        """Submit the job; raise AirflowFailException for the exit codes in FINAL."""
        try:
            super().execute(context)
        except AirflowException as error:
            # In client mode spark-submit ends with the exit code of the job.
            code = re.search(r"Error code is: (\d+)", str(error))
            if code is not None and int(code[1]) in FINAL:
                raise AirflowFailException(f"exit code {code[1]}: a retry cannot succeed") from error
            raise


def submission(job: str, kind: str | None) -> JobOperator:
    """Return the task of one step."""
    return JobOperator(
        task_id=job if kind is None else f"{job}_{kind}",
        application=f"{HOME}/jobs/{job}.py",
        application_args=[*SETTINGS, *([] if kind is None else ["--model.kind", kind])],
        properties_file=f"{HOME}/conf/spark-cluster.conf",
        conf=PROPERTIES,
        deploy_mode="client",
        name=f"recsys_spark {job}",
    )


with DAG(
    dag_id="recsys_spark",
    description="Raw plays to published recommendations and the report",
    schedule="15 3 * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    # Each run reads all new files, so missed days need no run of their own, and two runs would write the same tables.
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=6),
    },
    tags=["recsys_spark"],
):
    chain(*(submission(job, kind) for job, kind in STEPS))
