"""Versions read from the log of a table."""

from pathlib import Path

import pandas as pd
from deltalake import DeltaTable as ForeignTable
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from recsys_spark.storage.commits import history
from recsys_spark.storage.local_log import newest_version


def test_the_newest_version_agrees_with_delta_rs_also_after_a_checkpoint(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "some table"
    for number in range(12):
        write_deltalake(folder, pd.DataFrame({"n": [number]}), mode="append")
    ForeignTable(folder).create_checkpoint()
    write_deltalake(folder, pd.DataFrame({"n": [12]}), mode="append")
    (folder / "_delta_log" / ".00000000000000000099.json.tmp").touch()
    (folder / "_delta_log" / "00000000000000000099.checkpoint.parquet").touch()
    assert newest_version(folder) == ForeignTable(folder).version() == 12
    (folder / "_delta_log" / "00000000000000000099.checkpoint.parquet").unlink()
    assert newest_version(None) is None and history(spark, f"delta.`{folder}`", limit=1)[0].version == 12
