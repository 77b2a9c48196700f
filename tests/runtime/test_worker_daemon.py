"""Python workers: preloaded libraries, import path and memory settings."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from zipimport import zipimporter

import pyarrow as pa
import pyspark
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import config_from
from recsys_spark.runtime.spark_settings import WORKER_ENVIRONMENT, worker_daemon


def _loaded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    list(batches)
    yield pa.RecordBatch.from_pydict({"name": pa.array(sorted(sys.modules))})


def test_a_new_worker_has_its_libraries_preloaded(spark: SparkSession) -> None:
    names = {row["name"] for row in spark.range(1).mapInArrow(_loaded, "name STRING").collect()}
    assert {"torch", "pandas", "pyarrow.compute", "recsys_spark.ranking.scorer"} <= names


def _archives(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    list(batches)
    readers = [path for path, reader in sys.path_importer_cache.items() if isinstance(reader, zipimporter)]
    yield pa.RecordBatch.from_pydict({"path": pa.array([*readers, str(sys.modules["pyspark"].__file__)])})


def test_workers_import_no_code_from_archives(spark: SparkSession) -> None:
    *archives, code = (row["path"] for row in spark.range(0, 1, 1, 1).mapInArrow(_archives, "path STRING").collect())
    assert archives == []
    assert code == pyspark.__file__


@pytest.mark.parametrize(
    ("flags", "daemon"),
    [
        ({}, "runtime.worker_daemon"),
        ({"model.kind": "lsa"}, "runtime.worker_daemon"),
        ({"model.kind": "mult_vae"}, "inference.worker_daemon"),
        ({"pipeline.kinds": "als,cdae"}, "inference.worker_daemon"),
    ],
)
def test_torch_is_loaded_where_networks_are_named(flags: dict[str, str], daemon: str) -> None:
    assert worker_daemon(config_from({"tables.root": "unused", **flags})) == f"recsys_spark.{daemon}"


BLOCKS = """
import resource
import numpy as np

def faults():
    for _ in range(5):
        del [np.ones(1 << 19) for _ in range(6)][:]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

before = faults()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variables are those of glibc")
def test_memory_of_a_block_is_reused() -> None:
    """A block takes 24 MB in pages of 4 kB."""
    run = [sys.executable, "-c", BLOCKS]
    new_pages = int(subprocess.check_output(run, env={**os.environ, **WORKER_ENVIRONMENT}, text=True))
    assert new_pages < 24_000_000 / 4096
