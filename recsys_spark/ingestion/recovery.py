"""Recovery from runs that were killed before or after the last commit of their batch."""

import logging

from recsys_spark.config.model import BaseConfig
from recsys_spark.ingestion.batch_commit import complete
from recsys_spark.ingestion.batches import FileBatch, settings_hash
from recsys_spark.ingestion.discovery import changed_files, present_files
from recsys_spark.ingestion.file_states import FileResult, refuse
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import Staging, staged_batches
from recsys_spark.storage.tables import Tables

__all__ = ["remove_leftovers", "resume"]

log = logging.getLogger(__name__)


def resume(tables: Tables, config: BaseConfig, batch: FileBatch, reader: Reader) -> dict[str, int]:
    """Complete the plan of a killed run and return its row counts.

    A complete staged copy needs no raw file: they may all be gone. A plan without one whose files or settings have
    changed is given up: nothing but quarantined rows can have been committed of it.
    """
    staged = Staging(tables.spark, config.files_root, batch.batch_id).is_complete
    if staged or _is_unchanged(tables, config, batch):
        log.info("completing batch %d, which run %s left unfinished", batch.batch_id, batch.run_id)
        return complete(tables, config, batch, reader)
    _give_up(tables, batch)
    return {}


def _is_unchanged(tables: Tables, config: BaseConfig, batch: FileBatch) -> bool:
    """Return True if a plan's files and settings are still the same."""
    present = present_files(tables.spark, config.sample_path)
    return not changed_files(batch.files, present) and batch.settings_hash == settings_hash(config.source)


def remove_leftovers(tables: Tables, config: BaseConfig, started: set[int]) -> None:
    """Delete the staged copies of batches that are not among the started ones.

    A run that is killed after its last commit leaves such a copy.
    """
    for batch_id in staged_batches(config.files_root) - started:
        Staging(tables.spark, config.files_root, batch_id).remove()


def _give_up(tables: Tables, batch: FileBatch) -> None:
    log.warning("batch %d is planned again: its files or settings changed before it was read", batch.batch_id)
    tables.delete("plays_quarantine", "run_id", batch.run_id)
    # Last, so that a run that is killed before it is followed by one that gives the plan up again.
    refuse(tables, batch, [FileResult(file, retryable=True) for file in batch.files])
