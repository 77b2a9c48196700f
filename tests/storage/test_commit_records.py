"""User metadata of commits of threads that share a session, and reading of commits."""

import threading
import time
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from recsys_spark.storage import table_access
from recsys_spark.storage.commits import METADATA_CONF
from recsys_spark.storage.local_log import Commit, local_history
from tests.conftest import Workspace


def users(spark: SparkSession, *ids: str) -> DataFrame:
    """Return rows of user_index."""
    return spark.createDataFrame([(name, number) for number, name in enumerate(ids)], "user_id STRING, user_idx INT")


def test_threads_of_one_session_commit_their_own_records(workspace: Workspace) -> None:
    spark, first, second = workspace.spark, workspace.tables(), workspace.tables()
    first.append("user_index", users(spark, "a", "b"))
    second.append("item_index", spark.createDataFrame([("i", 0), ("j", 1)], "item_id STRING, item_idx INT"))

    @F.udf("string")
    def slow(user: str) -> str:
        time.sleep(1)
        return user

    rows = users(spark, "c").select(slow("user_id").alias("user_id"), "user_idx")
    changed = spark.createDataFrame([("k", 2)], "item_id STRING, item_idx INT")

    def write_users() -> None:
        first.merge("user_index", rows, ("user_id",), None, mark="users")
        first.delete("user_index", "user_id", "a", mark="users")

    def write_items() -> None:
        time.sleep(0.3)
        second.append("item_index", changed, mark="items")
        second.delete("item_index", "item_id", "i", mark="items")
        second.merge("item_index", changed, ("item_id",), {"item_idx": "new.item_idx"}, mark="items")

    threads = [threading.Thread(target=inheritable_thread_target(spark)(work)) for work in (write_users, write_items)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, mark, number in (("user_index", "users", 2), ("item_index", "items", 3)):
        assert [commit.metadata.get("mark") for commit in first.commits(name)[:number]] == [mark] * number
    assert spark.conf.get(METADATA_CONF, None) is None


def test_commits_are_read_once_and_then_only_the_newer_ones(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int | None] = []

    def counted(folder: Path, limit: int | None = None) -> list[Commit]:
        limits.append(limit)
        return local_history(folder, limit)

    monkeypatch.setattr(table_access, "local_history", counted)
    spark = workspace.spark
    tables, other = workspace.tables(), workspace.tables()
    tables.append("user_index", users(spark, "a"))
    assert [commit.version for commit in tables.commits("user_index")] == [1, 0]
    assert tables.data_version("user_index") == tables.commits("user_index")[0].version == 1
    assert limits == [None]
    other.append("user_index", users(spark, "b"))
    other.append("user_index", users(spark, "c"))
    assert [commit.version for commit in tables.commits("user_index")] == [3, 2, 1, 0]
    assert limits == [None, 2]
