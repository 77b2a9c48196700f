"""Adapter of trained networks to the interface of model kinds: scorer and training values."""

from pathlib import Path

from pyspark.sql import DataFrame

from recsys_spark.inference.network_scorer import NetworkScorer
from recsys_spark.inference.pair_scorer import PairScorer
from recsys_spark.preparation.sparse_rows import value_column
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer

__all__ = ["NetworkModel"]


class NetworkModel:
    """Trained network of any kind, with the interface of a model kind for outputs."""

    has_item_vectors = True

    def __init__(self, kind: str, folder: Path) -> None:
        from recsys_spark.networks.network import load_network

        self._network = load_network(kind)
        self._folder = folder

    @property
    def history_order(self) -> str:
        """Return the order of histories: column or time."""
        return self._network.shard_spec.order

    @property
    def predicts_ratings(self) -> bool:
        """Return True if the network was trained on ratings."""
        return self._network.shard_spec.values == "rating"

    @property
    def metric(self) -> str:
        """Return the metric that compares versions, which is the network's validation metric."""
        return self._network.metric

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return the scorer of this kind of network.

        It makes forward passes if rows are users, and dot products of stored vectors if rows are items. A network
        without dot products computes its own scores.
        """
        if not self._network.scores_are_dot_products:
            return PairScorer(str(self._folder), matrix)
        if self._network.shard_spec.rows == "items":
            return DotScorer(matrix)
        return NetworkScorer(str(self._folder), matrix)

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add `confidence`: the values that shards would hold for these pairs."""
        return interactions.withColumn("confidence", value_column(self._network.shard_spec))
