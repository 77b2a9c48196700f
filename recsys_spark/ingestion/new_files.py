"""Ingestion of the files that the history of a source selects."""

from contextlib import suppress

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.ingestion.batch_commit import complete
from recsys_spark.ingestion.batches import plan_batch
from recsys_spark.ingestion.discovery import RawFile, list_files
from recsys_spark.ingestion.file_history import Selection
from recsys_spark.ingestion.file_states import FileResult, refuse, start
from recsys_spark.ingestion.reader import Reader
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

__all__ = ["ingest_selection", "list_source_files"]


def list_source_files(tables: Tables, config: BaseConfig, reader: Reader) -> list[RawFile]:
    """Return the files at source.path that belong to the source's format.

    Raises MissingInputError when there is none.
    """
    path = config.sample_path
    files = [file for file in list_files(tables.spark, path) if reader.role(file) is not None]
    if not files:
        raise MissingInputError(
            f"source.path {path!r} holds no files of format {config.source.format}: unpack archives, and"
            " compare the names of the files with docs/how-to/add-a-source-format.md"
        )
    return files


def ingest_selection(
    tables: Tables, config: BaseConfig, reader: Reader, selection: Selection, next_batch: int
) -> dict[str, int]:
    """Ingest the new files of a selection as one batch and return its row counts.

    Batches are numbered from `next_batch`. Raises MissingInputError where source.reprocess matches no file, and what
    batch_commit.complete raises.
    """
    settings, run_id = config.source, tables.run_id
    if selection.changed_untimed:
        # Committed as refused, so that the following runs report these versions of the files as refused before.
        changed = plan_batch(next_batch, selection.changed_untimed, settings, run_id)
        refuse(tables, changed, [FileResult(file) for file in changed.files])
        next_batch += 1
    if settings.reprocess is not None and not selection.new:
        raise MissingInputError(
            f"source.reprocess {settings.reprocess!r} matches none of the files at {config.sample_path}: "
            "correct the pattern"
        )
    if not selection.new:
        return {}
    # A file that cannot be read is refused by its name when it is copied.
    with suppress(*SPARK_ERRORS):
        reader.check(tables.spark, selection.new)
    batch = plan_batch(next_batch, selection.new, settings, run_id)
    start(tables, batch)
    return complete(tables, config, batch, reader)
