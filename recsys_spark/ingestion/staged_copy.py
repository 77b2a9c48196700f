"""Staged copy of a batch: complete, or refused with the names of the files that cannot be read."""

import logging

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import DataQualityError
from recsys_spark.core.logs import step
from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import changed_files, present_files
from recsys_spark.ingestion.file_states import FileResult, refuse
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import Staging, unreadable_files
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

__all__ = ["ensure_copy"]

log = logging.getLogger(__name__)


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
    try:
        staging.write(reader, batch, config.source)
    except SPARK_ERRORS:
        broken = unreadable_files(tables.spark, reader, batch.files, config.source)
        if not broken:
            raise
        staging.remove()
        # Files without a fault of their own are read by the next run.
        refuse(tables, batch, [FileResult(file, retryable=file not in broken) for file in batch.files])
        causes = [f"{file.uri} cannot be read to its end ({cause})" for file, cause in broken.items()]
        raise DataQualityError(
            "\n".join([*causes, "nothing was ingested: deliver the file again, or remove it and run again"])
        ) from None
    _check_unchanged(tables, config, batch, staging)
    staging.finish(reader, config.source)


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
