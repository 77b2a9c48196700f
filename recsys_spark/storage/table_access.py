"""Delta tables by catalog name or by path, without locks and lineage."""

from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import absolute, local_path
from recsys_spark.storage.commits import catalog_folder, history, remove_incomplete_log
from recsys_spark.storage.local_log import LOG, Commit, has_commit, local_history, local_table_id, newest_version
from recsys_spark.storage.local_tables import can_write, create_table
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.statements import create_statement, view_statement

__all__ = ["TableAccess"]


class TableAccess:
    """Tables of one configuration, addressed by catalog name or by path.

    A catalog is used if tables.schema is set; then SQL views can be made beside the tables.
    """

    def __init__(self, spark: SparkSession, config: BaseConfig) -> None:
        self.spark = spark
        self._schema = config.tables.schema_name
        self._commits: dict[str, list[Commit]] = {}
        self._ids: dict[str, str] = {}
        self._root = absolute(config.tables.root) if config.tables.root else None

    @property
    def uses_catalog(self) -> bool:
        """Return True if tables are addressed by catalog name."""
        return self._schema is not None

    def address(self, name: str) -> str:
        """Return the catalog name or the path of a table."""
        return f"{self._schema}.{name}" if self._schema else f"{self._root}/{name}"

    @property
    def place(self) -> str:
        """Return tables.schema or tables.root, for messages."""
        return self._schema or str(self._root)

    def sql_address(self, name: str) -> str:
        """Return a table as SQL addresses it."""
        quoted = self.address(name).replace("`", "``")
        return quoted if self._schema else f"delta.`{quoted}`"

    def exists(self, name: str) -> bool:
        """Return True if the table has been created."""
        if self._schema:
            return self.spark.catalog.tableExists(self.address(name))
        folder = self._folder(name)
        if folder is not None:
            return has_commit(folder)
        try:
            self._detail(name)
        except AnalysisException:
            return False
        return True

    def version(self, name: str) -> int:
        """Return the newest version of an existing table."""
        listed = newest_version(self._folder(name))
        return self._history(name, 1)[0].version if listed is None else listed

    def commits(self, name: str) -> list[Commit]:
        """Return the commits of a table, newest first; later calls read only newer ones."""
        known = self._commits.get(name, [])
        if known:
            number = self.version(name) - known[0].version
            newer = self._history(name, number) if number > 0 else []
            # Another process may have created the table again, or committed meanwhile.
            if number < 0 or (newer and newer[-1].version != known[0].version + 1):
                known = []
            else:
                self._commits[name] = known = [*newer, *known]
        if not known:
            self._commits[name] = known = self._history(name)
        return known

    def read_version(self, name: str, version: int) -> DataFrame:
        """Return one version of a table; columns added by later releases are null."""
        reader = self.spark.read.format("delta").option("versionAsOf", version)
        rows = reader.table(self.address(name)) if self._schema else reader.load(self.address(name))
        later = [c for c in TABLES[name].schema if c.name not in rows.columns]
        return rows.select("*", *[F.lit(None).cast(c.dataType).alias(c.name) for c in later])

    def table_id(self, name: str) -> str:
        """Return the id that Delta gave an existing table when it was created, a UUID."""
        if name not in self._ids:
            folder = self._folder(name)
            local = None if folder is None else local_table_id(folder)
            self._ids[name] = local or self._described_id(name)
        return self._ids[name]

    def create_view(self, table: str, query: str) -> None:
        """Create or replace the catalog view `current_<table>`; do nothing if tables are addressed by path."""
        if self._schema:
            self.spark.sql(view_statement(self.address(f"current_{table}"), table, query))

    def _folder(self, name: str) -> Path | None:
        """Return the folder of a table that is addressed by a local path, or None."""
        return None if self._schema else local_path(self.address(name))

    def _history(self, name: str, limit: int | None = None) -> list[Commit]:
        folder = self._folder(name)
        return (
            local_history(folder, limit) if folder is not None else history(self.spark, self.sql_address(name), limit)
        )

    def _local_folder(self, name: str) -> Path | None:
        """Return the folder of a table where delta-rs can write it, or None."""
        folder = self._folder(name)
        return folder if folder is not None and can_write(folder.parent) else None

    def _create(self, name: str, record: str) -> None:
        """Create an empty table with `record` as user metadata.

        Raises ConfigError when the address holds something that is not a Delta table.
        """
        address = self.address(name)
        if self.exists(name):
            return  # another job was faster
        if self._schema:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            remove_incomplete_log(catalog_folder(self.spark, self._schema, name), commits=1)
        else:
            # Spark may have seen the incomplete log, and would not find a table that another library made there.
            had_log, folder = remove_incomplete_log(self._folder(name)), self._local_folder(name)
            if self._has_files(name):
                raise ConfigError(
                    f"{address} cannot be created as a Delta table, because other files are there: choose another"
                    " tables.root"
                )
            if not had_log and folder is not None:
                create_table(folder, TABLES[name], record)
                return
        try:
            self.spark.sql(create_statement(self.sql_address(name), TABLES[name], in_catalog=self.uses_catalog))
        except AnalysisException as error:
            raise ConfigError(f"{address} cannot be created as a Delta table: {error}") from error

    def _has_files(self, name: str) -> bool:
        """Return True if there are files at the path of a table; Spark would add a log to them."""
        folder = self._folder(name)
        if folder is not None:
            # A log without a commit is that of another job at work.
            return folder.exists() and (not folder.is_dir() or any(file.name != LOG for file in folder.iterdir()))
        try:
            files = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(self.address(name))
        except AnalysisException:
            return False
        return not files.select("path").isEmpty()

    def _newest(self, name: str) -> DataFrame:
        if self._schema:
            return self.spark.table(self.address(name))
        return self.spark.read.format("delta").load(self.address(name))

    def _described_id(self, name: str) -> str:
        detail = self._detail(name)
        if detail["format"] != "delta":
            raise ConfigError(f"{self.address(name)} is no Delta table: choose another tables.schema")
        return str(detail["id"])

    def _detail(self, name: str) -> Row:
        return self.spark.sql(f"DESCRIBE DETAIL {self.sql_address(name)}").collect()[0]

    def _save(self, writer: DataFrameWriter, name: str) -> None:
        writer.saveAsTable(self.address(name)) if self._schema else writer.save(self.address(name))

    def _add_columns(self, name: str, columns: list[T.StructField]) -> None:
        types = ", ".join(f"{c.name} {c.dataType.simpleString()}" for c in columns)
        self.spark.sql(f"ALTER TABLE {self.sql_address(name)} ADD COLUMNS ({types})")

    def _missing_columns(self, name: str) -> list[T.StructField]:
        """Check a table's schema against this release and return the columns to add.

        The result is not empty for tables of an earlier release, which have the first columns only. Raises ConfigError
        for any other schema.
        """
        address, expected = self.address(name), TABLES[name].schema
        try:
            if self._schema:
                self.table_id(name)  # refuses other formats, which a catalog reads as well
            schema = self._newest(name).schema
        except AnalysisException as error:
            raise ConfigError(f"{address} cannot be read as a Delta table: {error}") from error
        found = {c.name: c.dataType.simpleString() for c in schema}
        differing = [
            f"{c.name} is {found[c.name]}, not {c.dataType.simpleString()}"
            for c in expected
            if c.name in found and found[c.name] != c.dataType.simpleString()
        ]
        missing = [c for c in expected if c.name not in found]
        if missing and (not found or list(found) != expected.fieldNames()[: len(found)]):
            differing += [f"no column {c.name}" for c in missing]
        if differing:
            raise ConfigError(
                f"table {address} has an unexpected schema ({'; '.join(differing)}):"
                " choose another tables.root or tables.schema"
            )
        return missing
