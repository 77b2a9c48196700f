"""SQL on tables and views by their plain names, wherever the tables are."""

import re
from collections.abc import Mapping

from pyspark.sql import DataFrame

from recsys_spark.publish.publication import VIEWS
from recsys_spark.storage.query_template import tables_in
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["run_query"]


def run_query(tables: Tables, query: str, values: Mapping[str, object]) -> DataFrame:
    """Run a query on the tables that it names, and on the views `current_*`.

    Raises MissingInputError for a table that was not made yet.
    """
    words = set(re.findall(r"\w+", query))
    views = {f"current_{name}": view for name, view in VIEWS.items() if f"current_{name}" in words}
    words |= {table for view in views.values() for table in tables_in(view)}
    for name in TABLES:
        if name in words:
            tables.read(name).createOrReplaceTempView(name)
    for name, view in views.items():
        plain = view.format(table=name.removeprefix("current_"), **{table: table for table in TABLES})
        tables.spark.sql(plain).createOrReplaceTempView(name)
    return tables.spark.sql(query, args=dict(values))
