"""Exclude users from gender prediction, in new and existing rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime.job import Job, JobRun

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PREDICTED = "gender_predictions"


def work(run: JobRun) -> None:
    """Add the hashes of the ids, then delete the users' predictions of all versions."""
    from pyspark.sql import functions as F

    from recsys_spark.gender.suppressions import suppress

    users = run.spark.createDataFrame([(name,) for name in _ids(run)], "user_id STRING")
    run.count(suppressed=suppress(run.tables, users, run.config.suppress), unknown=_unknown(run, users))
    if run.tables.exists(PREDICTED):
        removed = run.tables.read(PREDICTED).join(F.broadcast(users), on="user_id", how="left_semi").count()
        if removed:
            run.tables.delete_keys(PREDICTED, users, "user_id")
        run.count(predictions_removed=removed)


def _unknown(run: JobRun, users: "DataFrame") -> int:
    """Return the number of ids that no user has; many of them hint at a wrong file."""
    if not run.tables.exists("user_index"):
        return users.count()
    return users.join(run.tables.read("user_index"), on="user_id", how="left_anti").count()


def _ids(run: JobRun) -> list[str]:
    """Read the distinct ids of suppress.users_file, a line each."""
    file = run.config.suppress.users_file
    if file is None:
        raise ConfigError("suppress.users_file is not set: name a text file with a user_id a line")
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"suppress.users_file: {error}: name a text file in UTF-8 that this user can read") from error
    ids = sorted({line for line in lines if line})
    if not ids:
        raise ConfigError(f"suppress.users_file: {file} has no lines: write a user_id a line")
    return ids


job = Job(
    "suppress_users",
    __doc__ or "",
    work,
    reads=("user_index",),
    writes=("suppressions", "gender_predictions"),
    settings=("suppress",),
    may_be_first=True,
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
