"""Raw files -> plays, users, items, plays_quarantine, ingested_files. Only new files cost anything."""

from contextlib import suppress

from recsys_spark.errors import DataQualityError, MissingInputError
from recsys_spark.ingestion.batches import refuse_changed, select_files, start_batch, unfinished_batch
from recsys_spark.ingestion.completion import complete, resume, sweep
from recsys_spark.ingestion.discovery import list_files
from recsys_spark.job import Job, JobRun
from recsys_spark.registry import load_reader
from recsys_spark.spark_errors import SPARK_ERRORS

TABLES = ("ingested_files", "plays", "plays_quarantine", "users", "items")


def work(run: JobRun) -> None:
    """Completes a plan that a killed run left, then plans and reads what is new."""
    settings = run.config.source
    reader = load_reader(settings.format)(settings)
    path = run.config.sample_path
    files = [file for file in list_files(run.spark, path) if reader.role(file) is not None]
    if not files:
        raise MissingInputError(f"source.path {path!r} holds no files of format {settings.format}")
    with run.tables.lock("ingested_files"):
        for table in TABLES:
            run.tables.ensure(table)
        unfinished = unfinished_batch(run.tables, settings.source_name)
        if unfinished is not None:
            resume(run, unfinished, reader, files)
        sweep(run)
        selection = select_files(run.tables, files, reader, settings)
        run.count(files_new=len(selection.new), files_known=len(files) - len(selection.new))
        if selection.changed_untimed:
            refuse_changed(run.spark, run.tables, selection, settings, run.report.run_id)
        if settings.reprocess is not None and not selection.new:
            raise MissingInputError(f"source.reprocess {settings.reprocess!r} matches none of the files at {path}")
        if selection.new:
            # A file that cannot be read is refused by its name when it is copied.
            with suppress(*SPARK_ERRORS):
                reader.check(run.spark, selection.new)
            batch = start_batch(run.spark, run.tables, selection, settings, run.report.run_id)
            complete(run, batch, reader)
    if selection.problems():
        raise DataQualityError("\n".join(selection.problems()))


job = Job("ingest_plays", __doc__ or "", work)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
