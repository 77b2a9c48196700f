"""Rows of the table recommendations: lists of all users from one model."""

from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.models.versions import ModelVersion
from recsys_spark.recommend.cold_items import cold_items_fingerprint, load_catalogue
from recsys_spark.recommend.item_filters import allowed_items, filters_fingerprint
from recsys_spark.recommend.names import with_item_ids, with_user_ids
from recsys_spark.recommend.popular_groups import groups_fingerprint, popular_lists
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.recommend.trained_model import load_model, read_vectors
from recsys_spark.storage.tables import Tables

__all__ = ["UserLists", "lists_fingerprint", "user_lists"]


class UserLists(NamedTuple):
    """Rows for the table recommendations, and counts of their inputs."""

    rows: DataFrame
    counts: dict[str, int]


def user_lists(
    tables: Tables, config: BaseConfig, version: ModelVersion, n_tasks: int, user_id: str | None = None
) -> UserLists:
    """Return the recommendations of every user, or of `user_id`, by a model version.

    They are computed in `n_tasks` tasks. Raises MissingInputError for a user who is not in user_index.
    """
    settings, model = config.recommendations, load_model(config.files_root, version)
    index, pairs = tables.read("user_index"), tables.read("interactions")
    if user_id is not None:
        index = _only_user(tables, index, user_id)
        pairs = pairs.join(F.broadcast(index.select("user_idx")), on="user_idx", how="left_semi")
    interactions = model.kind.with_confidence(pairs, model.folder)
    vectors = read_vectors(tables, "user_vectors", version.version)
    users = recommendation_users(index, vectors, interactions, model.kind.history_order)
    catalogue = load_catalogue(tables, config, model)
    allowed = allowed_items(tables, settings)
    lists = ListSettings(settings.top_k, settings.filter_seen, allowed.mask, catalogue.predicted)
    popular = popular_lists(tables, config)
    rows = recommend(popular.with_groups(users), catalogue.scorer, popular.scorer, lists, n_tasks)
    rows = with_user_ids(with_item_ids(rows, tables.read("item_index"), "item_idx"), index)
    rows = rows.withColumns({"model_version": F.lit(version.version), "algorithm": F.lit(version.kind)})
    return UserLists(rows, {**catalogue.counts, **allowed.counts, **popular.counts})


def _only_user(tables: Tables, user_index: DataFrame, user_id: str) -> DataFrame:
    """Return the row of user_index of one user; messages and query plans are without the id."""
    wanted = tables.spark.createDataFrame([(user_id,)], "user_id STRING")
    found = user_index.join(F.broadcast(wanted), on="user_id", how="left_semi")
    if found.isEmpty():
        raise MissingInputError(
            "user_index has no user with the id given by query.user (--user): check the id, or ingest plays of the user"
            " and run build_interactions first"
        )
    return found


def lists_fingerprint(tables: Tables, config: BaseConfig) -> str:
    """Return a text that changes when the recommendations of the same model version may change."""
    settings = config.recommendations
    keys = [tables.data_key(name) for name in ("interactions", "user_index")]
    lists = f"{settings.top_k} {settings.filter_seen} {filters_fingerprint(settings)} {keys}"
    return f"{lists}{groups_fingerprint(tables, settings)}{cold_items_fingerprint(tables, config)}"
