"""Making the staged copy of a batch: whole, or refused with the names of the files that are to blame."""

from recsys_spark.core.errors import DataQualityError, MissingInputError
from recsys_spark.ingestion.batches import Batch, Verdict, record
from recsys_spark.ingestion.discovery import changed_files, list_files
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import Staging, unreadable_files
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["copy_files"]


def copy_files(run: JobRun, batch: Batch, reader: Reader, staging: Staging) -> None:
    """Parses the files of a batch into its staged copy.

    Raises DataQualityError, and leaves no copy, where a file cannot be read to its end or changes meanwhile.
    """
    try:
        staging.write(reader, batch, run.config.source)
    except SPARK_ERRORS:
        broken = unreadable_files(run.spark, reader, batch.files, run.config.source)
        if not broken:
            raise
        staging.remove()
        # Only the broken ones are held back; the others will be read by the next run.
        verdicts = [Verdict(file, "refused", file in broken) for file in batch.files]
        record(run.spark, run.tables, batch, verdicts)
        causes = [f"{file.uri} cannot be read to its end ({cause})" for file, cause in broken.items()]
        raise DataQualityError(
            "\n".join([*causes, "nothing was ingested: deliver the file again, or remove it and run again"])
        ) from None
    _check_unchanged(run, batch, staging)
    staging.finish(reader)


def _check_unchanged(run: JobRun, batch: Batch, staging: Staging) -> None:
    """Refuses a copy that may hold half of one version of a file and half of another."""
    try:
        present = list_files(run.spark, run.config.sample_path)
    except MissingInputError:
        present = []
    changed = changed_files(batch.files, present)
    if not changed:
        return
    staging.remove()
    record(run.spark, run.tables, batch, [Verdict(file, "refused", remembered=False) for file in batch.files])
    names = ", ".join(file.uri for file in changed)
    raise DataQualityError(
        f"{names} changed or vanished while being read: nothing was ingested. Deliver files under another name (_x or "
        ".x) and rename them when they are whole; run again to read what is there then"
    )
