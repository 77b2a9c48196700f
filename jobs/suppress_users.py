"""Named users -> suppressions: no gender is learnt from them or predicted for them, from now on and in what exists."""

from pathlib import Path

from pyspark.sql import functions as F

from recsys_spark.errors import ConfigError
from recsys_spark.job import Job, JobRun
from recsys_spark.outputs.suppressions import suppress

COUNTED = "gender_predictions"
IDS_A_COMMIT = 1000


def work(run: JobRun) -> None:
    """Adds hashes of the ids, then takes the users' predictions, of all versions, out of the table."""
    ids = _ids(run)
    users = run.spark.createDataFrame([(name,) for name in ids], "user_id STRING")
    run.count(suppressed=suppress(run, users, run.config.suppress.scope))
    if run.tables.exists(COUNTED):
        for start in range(0, len(ids), IDS_A_COMMIT):
            theirs = F.col("user_id").isin(ids[start : start + IDS_A_COMMIT])
            number = run.tables.read(COUNTED).where(theirs).count()
            if number:
                run.tables.delete(COUNTED, theirs)
            run.count(predictions_removed=number)


def _ids(run: JobRun) -> list[str]:
    """The ids of a file that a person keeps."""
    file = run.config.suppress.users_file
    if file is None:
        raise ConfigError("suppress.users_file is not set: name a text file with a user_id a line")
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"suppress.users_file: {error}") from error
    ids = sorted({line for line in lines if line})
    if not ids:
        raise ConfigError(f"suppress.users_file: {file} names nobody")
    return ids


job = Job("suppress_users", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
