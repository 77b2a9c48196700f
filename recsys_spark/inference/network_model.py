"""A trained network as the jobs see any model: a scorer, and the values that it was trained on."""

from pathlib import Path

from pyspark.sql import DataFrame

from recsys_spark.inference.network_scorer import NetworkScorer
from recsys_spark.inference.pair_scorer import PairScorer
from recsys_spark.preparation.sparse_rows import value_column
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import DotScorer, Scorer

__all__ = ["NetworkModel"]


class NetworkModel:
    """What outputs ask of a model kind, for all networks."""

    has_item_vectors = True

    def __init__(self, kind: str, folder: Path) -> None:
        from recsys_spark.networks.network import load_network

        self._network = load_network(kind)
        self._folder = folder

    @property
    def history_order(self) -> str:
        """How histories have to be ordered: column or time."""
        return self._network.shard_spec.order

    @property
    def predicts_ratings(self) -> bool:
        """Whether it was trained on ratings."""
        return self._network.shard_spec.values == "rating"

    @property
    def metric(self) -> str:
        """What versions are compared by: that of its validation."""
        return self._network.metric

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Forward passes where rows are users; dot products of stored vectors where they are items; the network's own
        scores where it makes no products.
        """
        if not self._network.by_products:
            return PairScorer(str(self._folder), matrix)
        if self._network.shard_spec.rows == "items":
            return DotScorer(matrix)
        return NetworkScorer(str(self._folder), matrix)

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """The values that shards of these pairs would hold."""
        return interactions.withColumn("confidence", value_column(self._network.shard_spec))
