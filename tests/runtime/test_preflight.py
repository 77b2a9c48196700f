"""Preflight checks: owner of files.root, and files shared with executors."""

import socket
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime.preflight import check_writable, hosts_without


def check(tmp_path: Path, tables: str) -> None:
    check_writable(load_config(["--tables.root", str(tmp_path / tables), "--files.root", str(tmp_path / "files")], {}))


def test_files_root_belongs_to_the_first_tables(tmp_path: Path) -> None:
    for _ in range(2):
        check(tmp_path, "one")
    with pytest.raises(ConfigError, match=r"belongs to the tables at .*one, not .*two: .* delete .*tables\.txt"):
        check(tmp_path, "two")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["tables.txt"]


def test_an_incomplete_owner_file_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full before the owner file is complete."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.link", full)
        with pytest.raises(OSError, match="No space left"):
            check(tmp_path, "one")
    assert not (tmp_path / "files" / "tables.txt").exists()
    check(tmp_path, "two")


def test_executors_look_for_files_of_the_driver(spark: SparkSession, tmp_path: Path) -> None:
    assert hosts_without(spark, tmp_path) == []
    assert hosts_without(spark, tmp_path / "elsewhere") == [socket.gethostname()]
