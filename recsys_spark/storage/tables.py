"""Reads and commits of one run, with pinned versions, locks and lineage.

A `Tables` belongs to one run of one job. The run reads each table at one version. Every commit holds the lock of its
table, and its user metadata has the versions that the run has read.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError, WriteConflictError
from recsys_spark.core.paths import local_path
from recsys_spark.storage.commits import is_conflict, user_metadata
from recsys_spark.storage.first_tables import is_first_table
from recsys_spark.storage.local_tables import append_rows
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.statements import merge_statement, temporary_view
from recsys_spark.storage.table_access import TableAccess

__all__ = ["Tables"]


class Tables(TableAccess):
    """Tables of one configuration in one run.

    `inputs` and `outputs` map the tables that the run has read and written to their versions.
    """

    def __init__(self, spark: SparkSession, config: BaseConfig, run_id: str, job: str) -> None:
        super().__init__(spark, config)
        self.run_id = run_id
        self.job = job
        # Lock files are beside local tables, because jobs with different files.root must use the same locks.
        place = (local_path(self._root) if self._root else None) or local_path(config.files_root)
        self._locks = Locks(place / "_locks" if place else None, config.tables.lock_timeout_seconds)
        self._files_root = local_path(config.files_root)
        self._pins: dict[str, int] = {}
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}

    def read(self, name: str) -> DataFrame:
        """Return a table at the version of its first read in this run.

        Raises MissingInputError with the job that makes the table, and ConfigError for an unexpected schema.
        """
        if name not in self._pins:
            if not self.exists(name):
                raise MissingInputError(f"table {self.address(name)} does not exist: run {TABLES[name].made_by} first")
            self._missing_columns(name)
            self._pins[name] = self.version(name)
        self.inputs[name] = self._pins[name]
        return self.read_version(name, self._pins[name])

    def data_version(self, name: str) -> int:
        """Return the newest version in this run that changed rows, without OPTIMIZE and the like."""
        self.read(name)
        pin = self._pins[name]
        return next((c.version for c in self.commits(name) if c.version <= pin and c.changes_rows), pin)

    def data_state(self, name: str) -> str:
        """Return `ID-VERSION`: the id of the table and its data version.

        It names files that are built from the rows. Version numbers alone repeat when a table is dropped and created
        again.
        """
        return f"{self.table_id(name)}-{self.data_version(name)}"

    def data_key(self, *names: str) -> int | str:
        """Return a key of the rows, for names of models, splits and lists.

        It is the data version of the first table, so that the same work has the same name below another root. The ids
        of tables that were dropped and created again are added: numbers of users and items may differ there.
        """
        again = [self.table_id(name) for name in names if self.exists(name) and not self._is_first(name)]
        version = self.data_version(names[0])
        return "-".join([str(version), *again]) if again else version

    def _is_first(self, name: str) -> bool:
        return is_first_table(self._files_root, name, self.table_id(name))

    def built_from(self, name: str, scope: str) -> str | None:
        """Return the fingerprint in the last commit of a scope (see `replace`), or None."""
        if not self.exists(name):
            return None
        last = next((c for c in self.commits(name) if c.metadata.get("scope") == scope), None)
        return None if last is None else last.metadata.get("fingerprint")

    def ensure(self, name: str) -> None:
        """Create the table, or add the columns of newer releases.

        Raises ConfigError when the address holds something else.
        """
        if not self.exists(name):
            record = self._record({})
            with self.lock(name), user_metadata(self.spark, record):
                self._create(name, record)
        elif self._missing_columns(name):
            # The lock waits for a job that may add the same columns.
            with self.lock(name):
                if columns := self._missing_columns(name):
                    with self._commit(name), user_metadata(self.spark, self._record({})):
                        self._add_columns(name, columns)

    def append(self, name: str, rows: DataFrame, transaction: tuple[str, int] | None = None, **metadata: Any) -> int:
        """Append rows in one commit.

        A `transaction` (application, number) that was committed before is skipped.
        """
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("append")
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        return self._write(name, writer, metadata)

    def append_rows(self, name: str, rows: Sequence[tuple[Any, ...]], **metadata: Any) -> int:
        """Append a few rows in one commit: by delta-rs where it can write the table, else by Spark."""
        self.ensure(name)
        folder = self._local_folder(name)
        if folder is None:
            return self.append(name, self.spark.createDataFrame(list(rows), TABLES[name].schema), **metadata)
        with self._commit(name):
            append_rows(folder, TABLES[name], rows, self._record(metadata))
        return self.outputs[name]

    def replace(self, name: str, rows: DataFrame, column: str, value: str | int, **metadata: Any) -> int:
        """Replace the rows where `column` is `value`, in one commit.

        Raises ValueError unless `value` consists of letters, digits, `_` and `-`.
        """
        if not re.fullmatch(r"[\w-]+", str(value)):
            raise ValueError(f"invalid id {value!r}: only letters, digits, _ and - are allowed")
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("overwrite")
        writer = writer.option("replaceWhere", f"{column} = {value!r}")
        return self._write(name, writer, {"scope": value, **metadata})

    def overwrite(self, name: str, rows: DataFrame, **metadata: Any) -> int:
        """Replace all rows in one commit."""
        self.ensure(name)
        writer = self._ordered(name, rows).write.format("delta").mode("overwrite")
        return self._write(name, writer, metadata)

    def merge(
        self,
        name: str,
        rows: DataFrame,
        keys: tuple[str, ...],
        update: Mapping[str, str] | None,
        update_when: str | None = None,
        removed: DataFrame | None = None,
        arguments: Mapping[str, Any] | None = None,
        **metadata: Any,
    ) -> int:
        """Update and insert rows by key, in one commit; `rows` has at most one row per key.

        `update` maps columns to SQL expressions of `old` and `new` (None: no update), used where `update_when` holds:
        an expression of them and of `:name` for each of the `arguments`. Rows with new keys are inserted. Rows with the
        keys of `removed`, none of which is in `rows`, are deleted.
        """
        self.ensure(name)
        source = self._ordered(name, rows).withColumn("removed", F.lit(False))
        if removed is not None:
            keys_only = removed.select(*keys).withColumn("removed", F.lit(True))
            source = source.unionByName(keys_only, allowMissingColumns=True)
        inserted = tuple(TABLES[name].schema.names)
        with temporary_view(source) as view:
            merge = merge_statement(
                self.sql_address(name), view, keys, update, update_when, inserted, deletes=removed is not None
            )
            self._execute(name, merge, metadata, arguments)
        return self.outputs[name]

    def delete(self, name: str, column: str, value: str | int, **metadata: Any) -> int:
        """Delete the rows where `column` is `value`, in one commit."""
        self._execute(name, f"DELETE FROM {self.sql_address(name)} WHERE {column} = :value", metadata, {"value": value})
        return self.outputs[name]

    def delete_keys(self, name: str, rows: DataFrame, key: str) -> int:
        """Delete the rows whose `key` is in `rows`, in one commit.

        The log of the table does not contain the keys.
        """
        keys = rows.select(key).where(F.col(key).isNotNull()).distinct().withColumn("removed", F.lit(True))
        with temporary_view(keys) as view:
            self._execute(name, merge_statement(self.sql_address(name), view, (key,), None, None, (), deletes=True), {})
        return self.outputs[name]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Lock the table against other processes for a read-compute-write cycle (see Locks.hold).

        Reads inside the block return the newest version, also if the run has read an earlier one before.
        """
        with self._locks.hold(name):
            self._pins.pop(name, None)
            yield

    def _ordered(self, name: str, rows: DataFrame) -> DataFrame:
        return rows.selectExpr(*TABLES[name].casts)

    def _write(self, name: str, writer: DataFrameWriter, metadata: Mapping[str, Any]) -> int:
        """Write rows in one commit with its own user metadata; return the version."""
        stamped = writer.option("userMetadata", self._record(metadata))
        with self._commit(name):
            self._save(stamped, name)
        return self.outputs[name]

    def _execute(
        self, name: str, statement: str, metadata: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Execute a statement that makes one commit, with its own user metadata."""
        with self._commit(name), user_metadata(self.spark, self._record(metadata)):
            self.spark.sql(statement, args=dict(arguments or {}))

    @contextmanager
    def _commit(self, name: str) -> Iterator[None]:
        """Hold the lock of a table for a commit, and record the version."""
        with self.lock(name):
            try:
                yield
            except SPARK_ERRORS as error:
                if not is_conflict(error):
                    raise
                raise WriteConflictError(
                    f"another writer changed {self.address(name)} during the commit: run again"
                ) from error
            self._pins.pop(name, None)
            self.outputs[name] = self.version(name)

    def _record(self, metadata: Mapping[str, Any]) -> str:
        """Return the user metadata of a commit: the run, its inputs and more, as JSON."""
        lineage = {"run_id": self.run_id, "job": self.job, "inputs": dict(sorted(self.inputs.items()))}
        return json.dumps({**lineage, **metadata}, sort_keys=True, default=str)
