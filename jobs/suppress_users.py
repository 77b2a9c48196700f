"""Exclude users from gender prediction, in new and existing rows."""

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.gender.suppressions import suppress
from recsys_spark.runtime.job import Job, JobRun

PREDICTED = "gender_predictions"


def work(run: JobRun) -> None:
    """Adds hashes of the ids, then takes the users' predictions, of all versions, out of the table."""
    users = run.spark.createDataFrame([(name,) for name in _ids(run)], "user_id STRING")
    run.count(suppressed=suppress(run, users), unknown=_unknown(run, users))
    if run.tables.exists(PREDICTED):
        theirs = run.tables.read(PREDICTED).join(F.broadcast(users), on="user_id", how="left_semi").count()
        if theirs:
            run.tables.delete_keys(PREDICTED, users, "user_id")
        run.count(predictions_removed=theirs)


def _unknown(run: JobRun, users: DataFrame) -> int:
    """How many of the ids nobody has so far: a sign of a file of another kind of ids."""
    if not run.tables.exists("user_index"):
        return users.count()
    return users.join(run.tables.read("user_index"), on="user_id", how="left_anti").count()


def _ids(run: JobRun) -> list[str]:
    """The ids of a file that a person keeps."""
    file = run.config.suppress.users_file
    if file is None:
        raise ConfigError("suppress.users_file is not set: name a text file with a user_id a line")
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"suppress.users_file: {error}") from error
    ids = sorted({line for line in lines if line})
    if not ids:
        raise ConfigError(f"suppress.users_file: {file} names nobody")
    return ids


job = Job(
    "suppress_users",
    __doc__ or "",
    work,
    reads=("user_index",),
    writes=("suppressions", "gender_predictions"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
