"""Which models are compared by their neighbours, their lists, and the items that people know."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import all_kinds
from recsys_spark.models.versions import find_model, kind_of
from recsys_spark.recommend.names import known_numbers, users_of_items
from recsys_spark.recommend.neighbour_lists import agreement, neighbour_lists, random_lists, stated_values
from recsys_spark.runtime.job import JobRun

__all__ = ["agreement_of", "compared_versions", "known_items", "stored_lists"]

WELL_KNOWN_ITEMS = 10


def compared_versions(run: JobRun) -> tuple[str, ...]:
    """The versions that compare.models names, a kind by its newest one.

    Raises ConfigError for fewer than two or an unknown kind, MissingInputError for what was never trained.
    """
    named = run.config.compare.models
    unknown = [name for name in named if (kind_of(name) or name) not in all_kinds()]
    if unknown:
        raise ConfigError(
            *(f"compare.models: {name!r} is no kind or version; kinds are {all_kinds()}" for name in unknown)
        )
    found = [find_model(run.tables, kind_of(name) or name, name if kind_of(name) else None) for name in named]
    versions = tuple(dict.fromkeys(model.version for model in found))
    if len(versions) < 2:
        raise ConfigError(f"compare.models: {', '.join(versions)} is one model; name two, those of one kind by version")
    return versions


@contextmanager
def stored_lists(run: JobRun, versions: Sequence[str]) -> Iterator[DataFrame]:
    """The neighbour_lists of the versions, kept in memory and on disk within the context.

    Raises MissingInputError where a version has none, ConfigError where they were built shorter than compare.k. A row a
    version reaches the driver.
    """
    k = run.config.compare.k
    rows = run.tables.read("item_similarity").where(F.col("model_version").isin(list(versions)))
    lists = neighbour_lists(rows, k).persist()
    try:
        longest, items = F.max(F.size("neighbours")), F.count("item_id")
        kept = {
            row["model"]: row for row in lists.groupBy("model").agg(longest.alias("n"), items.alias("items")).collect()
        }
        lacking = [f"build_item_similarity --model.version {version}" for version in versions if version not in kept]
        if lacking:
            raise MissingInputError(f"item_similarity has no lists of these models: run {' and '.join(lacking)} first")
        # Of a small catalogue all other items are near.
        short = [version for version in versions if kept[version]["n"] < min(k, kept[version]["items"] - 1)]
        if short:
            raise ConfigError(
                f"compare.k = {k}, but the lists of {', '.join(short)} are shorter: lower it, or run "
                f"build_item_similarity --similarity.neighbours {k} for each"
            )
        yield lists
    finally:
        lists.unpersist()


def known_items(run: JobRun) -> DataFrame:
    """(item_id, item_idx, users): those that `--items` names, or the few that most users play, as of this run.

    Raises MissingInputError, with the nearest names, when none of them is known.
    """
    users = users_of_items(run)
    asked = run.config.query.items
    if not asked:
        return users.orderBy(F.desc("users"), "item_idx").limit(WELL_KNOWN_ITEMS)
    numbers, _ = known_numbers(run, asked)
    return users.where(F.col("item_idx").isin(numbers))


def agreement_of(run: JobRun, lists: DataFrame, versions: Sequence[str]) -> DataFrame:
    """agreement in compare.attribute of each version and of `random`, over the same items: those with compare.min_users
    users that state something and that all versions have lists of.
    """
    settings = run.config.compare
    models = lists.groupBy("item_id").agg(F.count_distinct("model").alias("models"))
    common = models.where(F.col("models") == len(versions)).select("item_id")
    played = users_of_items(run).where(F.col("users") >= settings.min_users)
    judged = common.join(played, on="item_id", how="left_semi")
    stated = stated_values(run.tables.read("items"), settings.attribute)
    chance = random_lists(common, settings.k, run.config.run.seed)
    return agreement(lists.unionByName(chance), judged, stated)
