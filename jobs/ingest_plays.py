"""Read new raw files into plays, users and items, exactly once."""

import logging
from typing import TYPE_CHECKING

from recsys_spark.core.errors import MissingInputError
from recsys_spark.runtime.input_checks import check_source_path
from recsys_spark.runtime.job import Job, JobRun

if TYPE_CHECKING:
    from recsys_spark.ingestion.file_history import FileHistory
    from recsys_spark.storage.tables import Tables

log = logging.getLogger("recsys_spark.ingest_plays")

TABLES = ("ingested_files", "plays", "plays_quarantine", "users", "items")


def work(run: JobRun) -> None:
    """Complete a batch that a killed run left, then plan and ingest the new files."""
    from recsys_spark.ingestion.quarantine import QuarantineLimitError

    try:
        _ingest(run)
    except QuarantineLimitError as error:
        run.count(read=error.read, quarantined=error.quarantined)
        raise


def _ingest(run: JobRun) -> None:
    from recsys_spark.ingestion.new_files import ingest_selection, list_source_files
    from recsys_spark.ingestion.reader import load_reader
    from recsys_spark.ingestion.recovery import remove_leftovers, resume

    tables, config, settings = run.tables, run.config, run.config.source
    reader = load_reader(settings.format)(settings)
    with tables.lock("ingested_files"):
        # Before the files are looked for: a plan that was read is completed though its files are gone.
        history = _read_history(tables) if tables.exists("ingested_files") else None
        unfinished = None if history is None else history.unfinished(settings.source_name)
        if unfinished is not None:
            run.count(**resume(tables, config, unfinished, reader))
        try:
            files = list_source_files(tables, config, reader)
        except MissingInputError as error:
            if unfinished is None:
                raise
            log.info("no new files: %s", error)
            return
        if history is None or unfinished is not None:
            history = _read_history(tables)
        remove_leftovers(tables, config, history.started)
        selection = history.select(files, reader, settings)
        run.count(files_new=len(selection.new), files_known=len(files) - len(selection.new))
        run.count(**ingest_selection(tables, config, reader, selection, history.next_batch))
    selection.check_all_readable()


def _read_history(tables: "Tables") -> "FileHistory":
    from recsys_spark.ingestion.file_history import FileHistory

    for table in TABLES:
        tables.ensure(table)
    return FileHistory.read(tables)


job = Job(
    "ingest_plays",
    __doc__ or "",
    work,
    reads=("raw files",),
    writes=TABLES,
    settings=("source", "sample.format"),
    checks=(check_source_path,),
)
main, entry_point = job.main, job.entry_point

if __name__ == "__main__":
    entry_point()
