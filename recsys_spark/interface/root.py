"""The Python interface: the tables of one root, answers from them, and the jobs that write them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.logs import shown_logs
from recsys_spark.interface.pictures import Picture
from recsys_spark.interface.title_list import TitleList, several
from recsys_spark.storage.queries import Queries
from recsys_spark.storage.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from recsys_spark.gender.title_prediction import TitlePrediction
    from recsys_spark.runtime.report import Report
    from recsys_spark.storage.tables import Tables

__all__ = ["Root"]


class Root:
    """Tables and models of one place; made by open_root.

    Answers from tables in a folder or object storage need no Spark and take a second. A catalog (`tables.schema`),
    tables as Spark DataFrames, and jobs use a Spark session. A session that was started here ends with `close`, or at
    the end of a `with` block.
    """

    def __init__(
        self, arguments: Sequence[str], settings: Mapping[str, object], spark: "SparkSession | None" = None
    ) -> None:
        self._arguments, self._settings = tuple(arguments), dict(settings)
        self._spark = spark
        self._resources = ExitStack()
        self.config: BaseConfig = self._configured({})

    def __repr__(self) -> str:
        """Return the place of the tables."""
        return f"Root({self.config.tables.schema_name or self.config.tables.root!r})"

    def __enter__(self) -> Self:
        """Return the root."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the session that was started here."""
        self.close()

    @property
    def spark(self) -> "SparkSession":
        """Return the given session, else the existing one, else a new one."""
        if self._spark is None:
            from recsys_spark.runtime.session import spark_session

            self._spark = self._resources.enter_context(spark_session(self.config))
        return self._spark

    def close(self) -> None:
        """Stop the Spark session, if it was started here."""
        self._resources.close()
        self._spark = None

    def serving(self) -> pd.DataFrame:
        """Return the model versions that serve: columns table, model_version, kind, published_at."""
        rows = self._queries().query("SELECT model_version, algorithm, serves, published_at FROM {models}")
        return pd.DataFrame(
            sorted(
                (table, row["model_version"], row["algorithm"], row["published_at"])
                for row in rows
                for table in row["serves"] or ()
            ),
            columns=["table", "model_version", "kind", "published_at"],
        )

    def similar_items(self, item: str, top: int = 10) -> pd.DataFrame:
        """Return the items nearest to an item: columns position, similar_item, similar_item_id, similarity.

        Args:
            item: Name in any case, or item_id.
            top: Number of items; the table holds at most `similarity.neighbours` of an item.

        Raises:
            ConfigError: Several items have the name; the message lists their ids.
            MissingInputError: There is no such item (the message has the nearest names), or no model serves.
        """
        from recsys_spark.interface.lists import similar_items

        rows = similar_items(self._queries(), item, top).rows
        return pd.DataFrame(rows, columns=["position", "similar_item", "similar_item_id", "similarity"])

    def recommendations(self, user: str, top: int = 10) -> pd.DataFrame:
        """Return the recommendations of a user: columns position, item, item_id, score, origin.

        Args:
            user: user_id, as delivered.
            top: Number of items; the table holds at most `recommendations.top_k` of a user.

        Raises:
            MissingInputError: The user has no list, or no model serves.
        """
        from recsys_spark.interface.lists import recommendations

        rows = recommendations(self._queries(), user, top).rows
        return pd.DataFrame(rows, columns=["position", "item", "item_id", "score", "origin"])

    def recommendations_for(self, titles: Sequence[str], top: int = 10) -> TitleList:
        """Return recommendations for a listener who played these titles once; Spark reads the tables.

        Args:
            titles: Names in any case, or item_ids.
            top: Number of items.

        Raises:
            ConfigError: A title is the name of several items.
            MissingInputError: No title names an item, or no model serves recommendations.
        """
        from recsys_spark.interface.serving import serving_model
        from recsys_spark.models.versions import find_model
        from recsys_spark.recommend.one_list import list_for_titles
        from recsys_spark.recommend.trained_model import load_model

        version = serving_model(self._queries(), "recommendations").version
        config = self._configured({"recommendations.top_k": top})
        tables = self._tables()
        model = load_model(config.files_root, find_model(tables, config.model.kind, version))
        found = list_for_titles(tables, config, model, several(titles))
        scored = zip(found.items.item_idx.tolist(), found.items.score.tolist(), strict=True)
        rows = [(position, found.names[item], score) for position, (item, score) in enumerate(scored, start=1)]
        items = pd.DataFrame(rows, columns=["position", "item", "score"])
        return TitleList(items, found.items.source, tuple(found.unmatched), version)

    def gender(self, titles: Sequence[str]) -> "TitlePrediction":
        """Return the predicted gender of a listener of these titles, with probabilities and base rates.

        Args:
            titles: Names in any case, or item_ids.

        Raises:
            MissingInputError: No classifier serves gender_predictions.
        """
        from recsys_spark.interface.gender_model import predict_titles
        from recsys_spark.interface.serving import serving_model

        queries = self._queries()
        version = serving_model(queries, "gender_predictions")
        return predict_titles(queries, version, self.config, several(titles), self._tables)

    def has(self, table: str) -> bool:
        """Return True if a table of the product was made.

        Raises:
            ConfigError: There is no table of this name in the product.
        """
        _check_table(table)
        try:
            self._queries().query(f"SELECT 1 AS found FROM {{{table}}} LIMIT 1")
        except MissingInputError:
            return False
        return True

    def table(self, name: str) -> "DataFrame":
        """Return a table of the product as a Spark DataFrame, at its newest version.

        Raises:
            ConfigError: There is no table of this name in the product.
            MissingInputError: The table was not made yet; the message names the job that makes it.
        """
        _check_table(name)
        return self._tables().read(name)

    def sql(self, query: str, **values: object) -> "DataFrame":
        """Run Spark SQL on the tables and the views `current_*`, by their plain names.

        Args:
            query: SQL, such as `SELECT * FROM current_recommendations WHERE user_id = :user`.
            values: Values of its parameters, such as `user="u1"`.

        Raises:
            MissingInputError: A table in the query was not made yet; the message names the job that makes it.
        """
        from recsys_spark.interface.plain_sql import run_query

        return run_query(self._tables(), query, values)

    def report(self) -> Picture:
        """Return the newest report of the tables, to show in a notebook; `run("build_report")` writes it.

        Raises:
            MissingInputError: No report was written yet.
        """
        from recsys_spark.report.tables_report import report_path

        try:
            return Picture(report_path(self.config).read_text(encoding="utf-8"), 800)
        except FileNotFoundError as error:
            raise MissingInputError(f'there is no report at {error.filename}: run("build_report") writes it') from None

    def run(self, job: str, settings: Mapping[str, object] | None = None) -> "Report":
        """Run a job, such as `run_pipeline` or `ingest_plays`, and return its report; its steps are logged.

        Args:
            job: Name of the job; `recsys` lists all.
            settings: Values of settings by key, for this run.

        Raises:
            RecsysError: What the job raises; the failure is also recorded in job_runs.
        """
        from recsys_spark.interface.registry import find_job, job_names

        if job not in job_names():
            raise ConfigError(f"there is no job {job!r}; there are {', '.join(job_names())}")
        config = self._configured(settings or {})
        with shown_logs(config.run.log_level):
            return find_job(job)(self.spark, config)

    def _configured(self, settings: Mapping[str, object]) -> BaseConfig:
        """Return the configuration with further settings."""
        return load_config(self._arguments, settings={**self._settings, **settings})

    def _queries(self) -> Queries:
        """Return the newest tables for an answer: by delta-rs, or by Spark for a catalog."""
        if self.config.tables.root is None:
            from recsys_spark.storage.session_queries import SessionQueries

            return SessionQueries(self._tables())
        from recsys_spark.storage.stored_tables import StoredTables

        return StoredTables(self.config.tables.root)

    def _tables(self) -> "Tables":
        from recsys_spark.storage.tables import Tables

        return Tables(self.spark, self.config, "notebook", "notebook")


def _check_table(name: str) -> None:
    if name not in TABLES:
        raise ConfigError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
