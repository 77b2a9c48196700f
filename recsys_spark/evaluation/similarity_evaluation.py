"""Evaluation of lists of similar items on a split, recorded in evaluations and printed."""

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from rich.table import Column as Heading
from rich.table import Table

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import protocol_of
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.logs import step, table_console
from recsys_spark.core.names import training_command
from recsys_spark.evaluation.metric_records import EvaluatedSplit, record_metric_values
from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.evaluation.similarity_queries import indexed_lists, queries_of_users, sum_queries
from recsys_spark.metrics.bootstrap import percentile_interval
from recsys_spark.metrics.similar_items import QUERY_SLICES, SIMILARITY_METRICS, list_spread
from recsys_spark.models.versions import ModelVersion, find_versions, kind_of
from recsys_spark.preparation.held_out_pairs import evaluation_pairs
from recsys_spark.preparation.training_pairs import split_rows, training_pairs
from recsys_spark.recommend.neighbour_comparison import stored_lists
from recsys_spark.storage.tables import Tables

__all__ = ["evaluate_similarity"]


def evaluate_similarity(tables: Tables, config: BaseConfig) -> dict[str, int]:
    """Evaluate the lists of the versions of compare.models on one part of a split; return counts.

    All versions are evaluated on the same users and bootstrap draws. Raises MissingInputError for a missing split,
    version or list, and ConfigError for a version of another split.
    """
    protocol, settings, k = protocol_of(config.split), config.evaluation, config.compare.k
    pairs = training_pairs(tables, config)
    assert pairs.split_id is not None
    models = _versions(tables, config.compare.models, pairs.split_id)
    versions = [model.version for model in models]
    popularity = pairs.train.groupBy("item_idx").agg(F.count(F.lit(1)).alias("users")).persist()
    with (
        stored_lists(tables, k, versions) as lists,
        step(f"evaluating similar items of {', '.join(versions)} on the {settings.part} part of {pairs.split_id}"),
    ):
        numbered = indexed_lists(lists, tables.read("item_index")).persist()
        named = tables.spark.createDataFrame([(version,) for version in versions], "model STRING")
        held_out = evaluation_pairs(split_rows(tables, pairs.split_id), settings.part)
        queries = queries_of_users(held_out, popularity, numbered, named)
        values = list(_query_metrics(sum_queries(queries, k, settings.draws, config.run.seed), k))
        users = {value.version: value.users for value in values if value.slice == "all"}
        if not users:
            raise MissingInputError("no evaluated user has an input item and a held-out item: set another split")
        values += _list_metrics(numbered, popularity, users, k)
        values += _agreements(lists, users, k)
        numbered.unpersist()
    popularity.unpersist()
    split = EvaluatedSplit(protocol, pairs.split_id, settings.part, config.run.seed)
    record_metric_values(tables, values, {model.version: model.kind for model in models}, split)
    _show(values, versions, k)
    return {"models": len(models), "figures": len(values)}


def _versions(tables: Tables, names: Sequence[str], split_id: str) -> list[ModelVersion]:
    """Return the versions that names stand for: a kind for its newest version on the training part of the split."""
    found: dict[str, ModelVersion] = {}
    for name in names:
        kind = kind_of(name)
        is_named: Column = F.col("model_version") == name if kind else F.col("algorithm") == name
        version = next(
            (v for v in find_versions(tables, is_named) if kind or (v.split_id == split_id and v.fit == "train")), None
        )
        if version is None:
            raise MissingInputError(
                f"compare.models: no version {name!r} was trained on {split_id}: run {training_command(kind or name)} "
                "with the same split settings first"
            )
        if version.split_id != split_id or version.fit != "train":
            raise ConfigError(
                f"compare.models: {name} was not trained on the training part of {split_id}: name a version of this "
                "split, or set the settings of the other split"
            )
        found[version.version] = version
    return list(found.values())


def _query_metrics(sums: DataFrame, k: int) -> Iterator[MetricValue]:
    """Yield the metrics of queries by slice; the driver takes a row for each model and slice."""
    for row in sorted(sums.collect(), key=lambda row: (row["model"], row["slice"])):
        users, *columns, rare_hits, rare_targets = np.frombuffer(row["sums"]).reshape(-1, 6).T
        with np.errstate(invalid="ignore", divide="ignore"):
            values = [*(column / users for column in columns), rare_hits / rare_targets]
        for name, value in zip(SIMILARITY_METRICS, values, strict=False):
            low, high = percentile_interval(value[1:])
            bounds = (low, high) if low == low else (None, None)
            yield MetricValue(
                row["model"],
                f"{name}@{k}",
                QUERY_SLICES[row["slice"]],
                float(value[0]),
                bounds[0],
                bounds[1],
                row["users"],
            )


def _list_metrics(lists: DataFrame, popularity: DataFrame, users: dict[str, int], k: int) -> Iterator[MetricValue]:
    """Yield the popularity and the spread of listed items.

    The driver takes the number of items for each number of lists.
    """
    listed = lists.select("model", F.explode("neighbours").alias("item_idx")).groupBy("model", "item_idx").count()
    items = lists.select("model", "item_idx").join(listed, on=["model", "item_idx"], how="outer")
    items = items.join(popularity, on="item_idx", how="left").na.fill(0, ["count", "users"])
    counts = items.groupBy("model", "count").agg(F.count(F.lit(1)).alias("items"), F.sum("users").alias("users"))
    rows = counts.orderBy("model", "count").collect()
    lengths = {row["model"]: row["lists"] for row in lists.groupBy("model").agg(F.count("*").alias("lists")).collect()}
    for model, n_users in users.items():
        degree, n_items, played = (
            np.array([row[name] for row in rows if row["model"] == model], dtype=np.int64)
            for name in ("count", "items", "users")
        )
        of_all = played.sum() / n_items.sum()
        lift = (degree * played).sum() / (degree * n_items).sum() / of_all - 1 if of_all else float("nan")
        spread = list_spread(degree, n_items, lengths[model])
        for name, value in zip(list(SIMILARITY_METRICS)[4:8], (lift, *spread), strict=True):
            if value == value:
                yield MetricValue(model, f"{name}@{k}", "all", float(value), None, None, n_users)


def _agreements(lists: DataFrame, users: dict[str, int], k: int) -> Iterator[MetricValue]:
    """Yield the mean Jaccard index of each two versions, over their common items."""
    others = lists.select("item_id", F.col("model").alias("other"), F.col("neighbours").alias("others"))
    pairs = lists.join(others, on="item_id", how="inner").where("model < other")
    shared = F.size(F.array_intersect("neighbours", "others")) / F.size(F.array_union("neighbours", "others"))
    found = pairs.groupBy("model", "other").agg(F.mean(shared).alias("jaccard")).collect()
    means = {frozenset((row["model"], row["other"])): row["jaccard"] for row in found}
    for model, other in permutations(users, 2):
        value = means.get(frozenset((model, other)))
        if value is not None:
            yield MetricValue(model, f"similar_jaccard@{k}", f"version={other}", value, None, None, users[model])


def _show(values: Sequence[MetricValue], versions: Sequence[str], k: int) -> None:
    overall = {(value.version, value.metric): value for value in values if value.slice == "all"}
    names = [name for name in SIMILARITY_METRICS if any(key[1] == f"{name}@{k}" for key in overall)]
    headings = [name.removeprefix("similar_") for name in names]
    table = Table(Heading("model", no_wrap=True), *headings, "users", title=f"Similar items, lists of {k}")
    for version in versions:
        found = [overall.get((version, f"{name}@{k}")) for name in names]
        users = next(str(value.users) for value in found if value is not None)
        table.add_row(version, *("-" if value is None else f"{value.value:.4f}" for value in found), users)
    table_console(200).print(table)
