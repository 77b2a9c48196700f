"""Inputs of the comparison of neighbours: versions, stored lists, items to show, agreement."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.evaluation import CompareSettings
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import ITEM_KNN, all_kinds
from recsys_spark.models.versions import find_model, kind_of
from recsys_spark.recommend.names import resolve_items, users_per_item
from recsys_spark.recommend.neighbour_lists import agreement, item_values, neighbour_lists, random_lists
from recsys_spark.storage.tables import Tables

__all__ = ["agreement_in_attribute", "compared_versions", "items_to_show", "stored_lists"]

POPULAR_ITEMS = 10


def compared_versions(tables: Tables, named: Sequence[str]) -> tuple[str, ...]:
    """Return the versions that `compare.models` names; a kind stands for its newest version.

    Raises ConfigError for fewer than two models or an unknown kind, MissingInputError for a model that was not trained.
    """
    kinds = (*all_kinds(), ITEM_KNN)
    unknown = [name for name in named if (kind_of(name) or name) not in kinds]
    if unknown:
        raise ConfigError(
            *(
                f"compare.models: {name!r} is not a kind or a version: name one of the kinds {', '.join(kinds)}"
                for name in unknown
            )
        )
    found = [find_model(tables, kind_of(name) or name, name if kind_of(name) else None) for name in named]
    versions = tuple(dict.fromkeys(model.version for model in found))
    if len(versions) < 2:
        raise ConfigError(f"compare.models: {', '.join(versions)} is one model: name two, those of one kind by version")
    return versions


@contextmanager
def stored_lists(tables: Tables, k: int, versions: Sequence[str]) -> Iterator[DataFrame]:
    """Yield the k nearest items of each item and version (neighbour_lists), cached within the context.

    The driver gets a row a version. Raises MissingInputError where a version has no lists, ConfigError where its lists
    were built shorter than k.
    """
    rows = tables.read("item_similarity").where(F.col("model_version").isin(list(versions)))
    lists = neighbour_lists(rows, k).persist()
    try:
        longest, items = F.max(F.size("neighbours")), F.count("item_id")
        found = lists.groupBy("model").agg(longest.alias("longest"), items.alias("items")).collect()
        sizes = {row["model"]: (row["longest"], row["items"]) for row in found}
        missing = [f"build_item_similarity --model.version {version}" for version in versions if version not in sizes]
        if missing:
            raise MissingInputError(f"item_similarity has no lists of these models: run {' and '.join(missing)} first")
        # In a catalogue of k items or fewer, a list holds all other items.
        short = [version for version, (most, items) in sizes.items() if most < min(k, items - 1)]
        if short:
            raise ConfigError(
                f"compare.k = {k}, but the lists of {', '.join(short)} are shorter: lower compare.k, or run "
                f"build_item_similarity --similarity.neighbours {k} for each"
            )
        yield lists
    finally:
        lists.unpersist()


def items_to_show(tables: Tables, asked: Sequence[str]) -> DataFrame:
    """Return (item_id, item_idx, users) of the named items, by default the most popular.

    Raises MissingInputError, with the nearest names, when no text names an item.
    """
    users = users_per_item(tables)
    if not asked:
        return users.orderBy(F.desc("users"), "item_idx").limit(POPULAR_ITEMS)
    item_idx, _ = resolve_items(tables, asked)
    return users.where(F.col("item_idx").isin(item_idx))


def agreement_in_attribute(
    tables: Tables, settings: CompareSettings, seed: int, lists: DataFrame, versions: Sequence[str]
) -> DataFrame:
    """Return the agreement (neighbour_lists.agreement) of each version and of random lists in compare.attribute.

    All are measured on the same items: those with compare.min_users users and a value of the attribute, of which all
    versions have lists.
    """
    models = lists.groupBy("item_id").agg(F.count_distinct("model").alias("models"))
    common = models.where(F.col("models") == len(versions)).select("item_id")
    played = users_per_item(tables).where(F.col("users") >= settings.min_users)
    measured = common.join(played, on="item_id", how="left_semi")
    values = item_values(tables.read("items"), settings.attribute)
    return agreement(lists.unionByName(random_lists(common, settings.k, seed)), measured, values)
