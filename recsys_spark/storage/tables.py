"""The only place that reads and writes Delta tables: addressing, schemas, commits, lineage.

A `Tables` belongs to one run of one job. Each table is read at one version for the whole run, that version is
written into the user metadata of every commit the run makes, and every commit holds the table's lock.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, LostToWriterError, MissingInputError
from recsys_spark.core.paths import absolute, local_path
from recsys_spark.storage.commits import (
    Commit,
    folder_of,
    history,
    is_conflict,
    newest_version,
    remove_incomplete_log,
    user_metadata,
)
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.table_schema import missing_columns

__all__ = ["Tables"]


class Tables:
    """The tables of one configuration, seen by one run."""

    def __init__(self, spark: SparkSession, config: BaseConfig, run_id: str, job: str) -> None:
        self.spark = spark
        self.run_id = run_id
        self.job = job
        self._schema = config.tables.schema_name
        self._root = absolute(config.tables.root) if config.tables.root else None
        # Beside what they guard, if that is a place of files: jobs that differ in files.root must still meet there.
        place = (local_path(self._root) if self._root else None) or local_path(config.files_root)
        self._locks = Locks(place / "_locks" if place else None, config.tables.lock_timeout_seconds)
        self._pins: dict[str, int] = {}
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}

    @property
    def uses_catalog(self) -> bool:
        """Whether tables are addressed by name, so that SQL views can stand beside them."""
        return self._schema is not None

    def address(self, name: str) -> str:
        """What a person or SQL calls the table."""
        return f"{self._schema}.{name}" if self._schema else f"{self._root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether the table has been created."""
        if self._schema:
            return self.spark.catalog.tableExists(self.address(name))
        return DeltaTable.isDeltaTable(self.spark, self.address(name))

    def read(self, name: str) -> DataFrame:
        """The table as of this run: every read of a run sees the version that its first read saw.

        Raises MissingInputError naming the job that makes the table, ConfigError when it is not ours.
        """
        if name not in self._pins:
            if not self.exists(name):
                raise MissingInputError(f"table {self.address(name)} does not exist: run {TABLES[name].made_by} first")
            self._lacking(name)
            self._pins[name] = self.version(name)
        self.inputs[name] = self._pins[name]
        return self.read_version(name, self._pins[name])

    def read_version(self, name: str, version: int) -> DataFrame:
        """The table as it was at one version; columns that a later release brought are null in it."""
        reader = self.spark.read.format("delta").option("versionAsOf", version)
        rows = reader.table(self.address(name)) if self._schema else reader.load(self.address(name))
        later = [c for c in TABLES[name].schema if c.name not in rows.columns]
        return rows.select("*", *[F.lit(None).cast(c.dataType).alias(c.name) for c in later])

    def version(self, name: str) -> int:
        """The newest version of an existing table."""
        listed = newest_version(None if self._schema else local_path(self.address(name)))
        return history(self.delta(name), limit=1)[0].version if listed is None else listed

    def data_version(self, name: str) -> int:
        """The newest version, as of this run, that changed rows: OPTIMIZE and the like do not count."""
        self.read(name)
        pin = self._pins[name]
        return next((c.version for c in self.commits(name) if c.version <= pin and c.changes_rows), pin)

    def commits(self, name: str) -> list[Commit]:
        """The table's commits, newest first."""
        return history(self.delta(name))

    def built_from(self, name: str, scope: str) -> str | None:
        """The fingerprint that the last commit for this scope carried (see `replace`), if there is one."""
        if not self.exists(name):
            return None
        last = next((c for c in self.commits(name) if c.metadata.get("scope") == scope), None)
        return None if last is None else last.metadata.get("fingerprint")

    def ensure(self, name: str) -> None:
        """Creates the table, or adds the columns that a newer release brought.

        Raises ConfigError when something else lies at its address.
        """
        if self.exists(name):
            if self._lacking(name):
                self._add_columns(name)
            return
        address = self.address(name)
        with self.lock(name), self._metadata({}):
            if self._schema:
                self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
                remove_incomplete_log(folder_of(self.spark, self._schema, name), commits=1)
            else:
                remove_incomplete_log(local_path(address))
            builder = DeltaTable.createIfNotExists(self.spark).addColumns(TABLES[name].schema)
            for key, value in TABLES[name].properties.items():
                builder = builder.property(key, value)
            try:
                (builder.tableName(address) if self._schema else builder.location(address)).execute()
            except AnalysisException as error:
                raise ConfigError(f"{address} cannot be made a Delta table: {error}") from error

    def append(self, name: str, rows: DataFrame, transaction: tuple[str, int] | None = None, **metadata: Any) -> int:
        """Adds rows in one commit; a `transaction` (application, number) that was committed is skipped."""
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("append")
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        with self._commit(name, metadata):
            self._save(writer, name)
        return self.outputs[name]

    def replace(self, name: str, rows: DataFrame, column: str, value: str | int, **metadata: Any) -> int:
        """Replaces the rows where `column` is `value`, in one commit; `value` is an id of our own making."""
        if not re.fullmatch(r"[\w-]+", str(value)):
            raise ValueError(f"not an id of our making: {value!r}")
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("overwrite")
        writer = writer.option("replaceWhere", f"{column} = {value!r}")
        with self._commit(name, {"scope": value, **metadata}):
            self._save(writer, name)
        return self.outputs[name]

    def overwrite(self, name: str, rows: DataFrame, **metadata: Any) -> int:
        """Replaces all rows in one commit."""
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("overwrite")
        with self._commit(name, metadata):
            self._save(writer, name)
        return self.outputs[name]

    def merge(
        self,
        name: str,
        rows: DataFrame,
        keys: tuple[str, ...],
        update: Mapping[str, str] | None,
        update_when: Column | str | None = None,
        delete_when: Column | None = None,
        **metadata: Any,
    ) -> int:
        """Updates and inserts by key, in one commit; `rows` holds at most one row a key.

        `update` maps columns to SQL expressions of `old` and `new` (None: never update), applied where `update_when`
        holds; new keys are inserted whole; rows of the table without a match are deleted where `delete_when` holds.
        """
        self.ensure(name)
        condition = " AND ".join(f"old.{key} <=> new.{key}" for key in keys)
        merge = self.delta(name).alias("old").merge(self._ordered(name, rows).alias("new"), condition)
        if update:
            merge = merge.whenMatchedUpdate(condition=update_when, set=dict(update))
        merge = merge.whenNotMatchedInsertAll()
        if delete_when is not None:
            merge = merge.whenNotMatchedBySourceDelete(condition=delete_when)
        with self._commit(name, metadata):
            merge.execute()
        return self.outputs[name]

    def delete(self, name: str, condition: Any, **metadata: Any) -> int:
        """Deletes the rows where the condition (a Column) holds, in one commit."""
        with self._commit(name, metadata):
            self.delta(name).delete(condition)
        return self.outputs[name]

    def delete_keys(self, name: str, rows: DataFrame, key: str) -> int:
        """Deletes the rows whose `key` stands in `rows`, in one commit that does not name the keys."""
        keys = rows.select(key).distinct().alias("new")
        with self._commit(name, {}):
            self.delta(name).alias("old").merge(keys, f"old.{key} = new.{key}").whenMatchedDelete().execute()
        return self.outputs[name]

    def delta(self, name: str) -> DeltaTable:
        """The handle of an existing table."""
        if self._schema:
            return DeltaTable.forName(self.spark, self.address(name))
        return DeltaTable.forPath(self.spark, self.address(name))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds the table against other processes for a whole read-compute-write (see Locks.hold).

        Reading it inside gives its newest version, which nobody else can change now, whatever the run saw before.
        """
        with self._locks.hold(name):
            self._pins.pop(name, None)
            yield

    def create_view(self, name: str, query: str) -> None:
        """Makes or changes a catalog view; does nothing when tables are addressed by path."""
        if self._schema:
            self.spark.sql(f"CREATE OR REPLACE VIEW {self.address(name)} AS {query}")

    def _save(self, writer: DataFrameWriter, name: str) -> None:
        writer.saveAsTable(self.address(name)) if self._schema else writer.save(self.address(name))

    def _ordered(self, name: str, rows: DataFrame) -> DataFrame:
        return rows.selectExpr(*TABLES[name].casts)

    @contextmanager
    def _commit(self, name: str, metadata: Mapping[str, Any]) -> Iterator[None]:
        """Under the table's lock, with the run and its inputs in the user metadata."""
        with self.lock(name), self._metadata(metadata):
            try:
                yield
            except SPARK_ERRORS as error:
                if not is_conflict(error):
                    raise
                raise LostToWriterError(f"another writer changed {self.address(name)} meanwhile: run again") from error
            self._pins.pop(name, None)
            self.outputs[name] = self.version(name)

    def _metadata(self, metadata: Mapping[str, Any]) -> AbstractContextManager[None]:
        return user_metadata(
            self.spark,
            {"run_id": self.run_id, "job": self.job, "inputs": dict(sorted(self.inputs.items())), **metadata},
        )

    def _add_columns(self, name: str) -> None:
        address = self.address(name) if self._schema else f"delta.`{self.address(name)}`"
        with self.lock(name):
            if columns := ", ".join(f"{c.name} {c.dataType.simpleString()}" for c in self._lacking(name)):
                with self._commit(name, {}):
                    self.spark.sql(f"ALTER TABLE {address} ADD COLUMNS ({columns})")

    def _lacking(self, name: str) -> list[T.StructField]:
        try:
            schema = self.delta(name).toDF().schema
        except AnalysisException as error:
            raise ConfigError(f"{self.address(name)} cannot be read as a Delta table: {error}") from error
        return missing_columns(name, self.address(name), schema)
