"""Read new raw files into plays, users and items, exactly once."""

from recsys_spark.ingestion.file_history import FileHistory
from recsys_spark.ingestion.new_files import ingest_selection, list_source_files
from recsys_spark.ingestion.quarantine import QuarantineLimitError
from recsys_spark.ingestion.reader import load_reader
from recsys_spark.ingestion.recovery import remove_leftovers, resume
from recsys_spark.runtime.job import Job, JobRun

TABLES = ("ingested_files", "plays", "plays_quarantine", "users", "items")


def work(run: JobRun) -> None:
    """Complete a batch that a killed run left, then plan and ingest the new files."""
    try:
        _ingest(run)
    except QuarantineLimitError as error:
        run.count(read=error.read, quarantined=error.quarantined)
        raise


def _ingest(run: JobRun) -> None:
    tables, config, settings = run.tables, run.config, run.config.source
    reader = load_reader(settings.format)(settings)
    files = list_source_files(tables, config, reader)
    with tables.lock("ingested_files"):
        for table in TABLES:
            tables.ensure(table)
        history = FileHistory.read(tables)
        unfinished = history.unfinished(settings.source_name)
        if unfinished is not None:
            run.count(**resume(tables, config, unfinished, reader, files))
            history = FileHistory.read(tables)
        remove_leftovers(tables, config, history.started)
        selection = history.select(files, reader, settings)
        run.count(files_new=len(selection.new), files_known=len(files) - len(selection.new))
        run.count(**ingest_selection(tables, config, reader, selection, history.next_batch))
    selection.check_all_readable()


job = Job("ingest_plays", __doc__ or "", work, reads=("raw files",), writes=TABLES)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
