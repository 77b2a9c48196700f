"""Settings of the records in MLflow."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["MlflowSettings"]


class MlflowSettings(Section):
    """Section `mlflow`."""

    tracking_uri: str | None = Field(
        None, description="MLflow server or database that models and publications are recorded in; unset: none."
    )
    experiment: str = Field("recsys_spark", min_length=1, description="Experiment of the runs.")
    registered_model_prefix: str = Field(
        "recsys_spark.",
        pattern=r"^[^/:]*$",
        description="Start of the names of registered models, before that of the output table.",
    )
    artifact_location: str | None = Field(
        None,
        description="Folder or URI for the files of a new experiment; unset: that of the server, or mlflow-artifacts"
        " beside an SQLite database.",
    )
    parent_run: str | None = Field(
        None,
        pattern=r"^\w+$",
        description="MLflow run that new runs are nested in; run_pipeline sets it for its steps.",
    )
