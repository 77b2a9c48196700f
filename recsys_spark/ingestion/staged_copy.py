"""Staged copy of a batch: complete, or refused with the names of the files that cannot be read."""

import logging
from collections.abc import Collection, Sequence

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import DataQualityError
from recsys_spark.core.logs import step
from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import RawFile, changed_files, present_files
from recsys_spark.ingestion.file_states import FileResult, refuse
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import Staging, unreadable_files
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

__all__ = ["ensure_copy"]

log = logging.getLogger(__name__)

# Suffixes of files that Spark would read as if their bytes were text, with the kind of the file and the remedy.
UNREAD_KINDS = {
    (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2"): ("an archive", "unpack it"),
    (".xlsx", ".xls", ".ods"): ("a spreadsheet", "save it as CSV"),
    (".xz", ".lzma", ".br"): ("compressed without a codec in Hadoop", "compress the text with gzip (.gz) instead"),
}


def ensure_copy(tables: Tables, config: BaseConfig, batch: FileBatch, reader: Reader, staging: Staging) -> None:
    """Make the staged copy of a batch if there is none or it lost files.

    Raises DataQualityError, and leaves no copy, where a file cannot be read to its end or changes meanwhile.
    """
    if staging.is_complete and not staging.is_intact():
        log.warning("the staged copy of batch %d lost files: reading the raw files again", batch.batch_id)
        staging.remove()
    if not staging.is_complete:
        with step(f"reading {len(batch.files)} files"):
            _copy(tables, config, batch, reader, staging)


def _copy(tables: Tables, config: BaseConfig, batch: FileBatch, reader: Reader, staging: Staging) -> None:
    unread = {file: fault for file in batch.files if (fault := _fault_of_kind(file)) is not None}
    if unread:
        raise _refused(tables, batch, unread, [f"{file.uri} {fault}" for file, fault in unread.items()])
    try:
        staging.write(reader, batch, config.source)
    except SPARK_ERRORS:
        broken = unreadable_files(tables.spark, reader, batch.files, config.source)
        if not broken:
            raise
        staging.remove()
        found = [f"{file.uri} cannot be read to its end ({cause})" for file, cause in broken.items()]
        raise _refused(tables, batch, broken, found) from None
    _check_unchanged(tables, config, batch, staging)
    staging.finish(reader, config.source)


def _fault_of_kind(file: RawFile) -> str | None:
    """Return the reason why Spark cannot read a file with such a name."""
    for suffixes, (kind, remedy) in UNREAD_KINDS.items():
        if file.name.lower().endswith(suffixes):
            return f"is {kind}, which Spark does not read: {remedy}"
    return None


def _refused(
    tables: Tables, batch: FileBatch, faulty: Collection[RawFile], findings: Sequence[str]
) -> DataQualityError:
    """Mark the files of a batch as refused and return the error."""
    # Files without a fault of their own are read by the next run.
    refuse(tables, batch, [FileResult(file, retryable=file not in faulty) for file in batch.files])
    remedy = "nothing was ingested: deliver the file again, or remove it and run again"
    return DataQualityError("\n".join([*findings, remedy]))


def _check_unchanged(tables: Tables, config: BaseConfig, batch: FileBatch, staging: Staging) -> None:
    """Refuse a copy that may mix two versions of a file."""
    changed = changed_files(batch.files, present_files(tables.spark, config.sample_path))
    if not changed:
        return
    staging.remove()
    refuse(tables, batch, [FileResult(file, retryable=True) for file in batch.files])
    names = ", ".join(file.uri for file in changed)
    raise DataQualityError(
        f"{names} changed or vanished while being read: nothing was ingested. Deliver files under another name (_x or "
        ".x), rename them when they are complete, and run again"
    )
