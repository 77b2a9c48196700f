"""Read new raw files into plays, users and items, exactly once."""

from collections.abc import Sequence
from contextlib import suppress

from recsys_spark.core.errors import DataQualityError, MissingInputError
from recsys_spark.ingestion.batch_commit import complete, resume, sweep
from recsys_spark.ingestion.batches import Batch, Verdict, record, settings_hash, start_batch
from recsys_spark.ingestion.discovery import RawFile, list_files
from recsys_spark.ingestion.file_history import Ledger
from recsys_spark.ingestion.reader import load_reader
from recsys_spark.runtime.job import Job, JobRun
from recsys_spark.storage.spark_errors import SPARK_ERRORS

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
        ledger = Ledger.read(run.tables)
        unfinished = ledger.unfinished(settings.source_name)
        if unfinished is not None:
            resume(run, unfinished, reader, files)
            ledger = Ledger.read(run.tables)
        sweep(run, ledger)
        selection = ledger.select(files, reader, settings)
        run.count(files_new=len(selection.new), files_known=len(files) - len(selection.new))
        if selection.changed_untimed:
            # Remembered, so that each is told once anew.
            batch = _plan(run, ledger.next_batch, selection.changed_untimed)
            record(run.spark, run.tables, batch, [Verdict(file, "refused") for file in batch.files])
            ledger = Ledger.read(run.tables)
        if settings.reprocess is not None and not selection.new:
            raise MissingInputError(f"source.reprocess {settings.reprocess!r} matches none of the files at {path}")
        if selection.new:
            # A file that cannot be read is refused by its name when it is copied.
            with suppress(*SPARK_ERRORS):
                reader.check(run.spark, selection.new)
            batch = _plan(run, ledger.next_batch, selection.new)
            start_batch(run.spark, run.tables, batch)
            complete(run, batch, reader)
    if selection.problems():
        raise DataQualityError("\n".join(selection.problems()))


def _plan(run: JobRun, batch_id: int, files: Sequence[RawFile]) -> Batch:
    settings, meaning = run.config.source, settings_hash(run.config.source)
    reprocess = settings.reprocess is not None
    return Batch(batch_id, settings.source_name, tuple(files), run.report.run_id, meaning, reprocess)


job = Job(
    "ingest_plays",
    __doc__ or "",
    work,
    reads=("raw files",),
    writes=("ingested_files", "plays", "plays_quarantine", "users", "items"),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
