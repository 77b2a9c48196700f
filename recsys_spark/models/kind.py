"""Interface of the model kinds that train on Spark.

A new kind is a subclass of ModelKind and a line in the registry (core/names.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from pyspark.sql import DataFrame

from recsys_spark.core.names import KINDS, load_named
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer

__all__ = ["CHECKPOINTS", "Fitted", "ModelKind", "StartVectors", "load_kind"]

# Folder of a version for what a killed training goes on from.
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Fitted:
    """Result of a training.

    user_vectors (user_idx INT, vector ARRAY<FLOAT>) and item_vectors (item_idx INT, vector) are the rows for the tables
    of these names, where the kind has such vectors. `matrix` (item_idx INT, vector) is the scoring matrix that
    executors map: the item vectors, or other values that the kind's scorer needs of each item. A kind that computes it
    on the driver has written it below its folder as `items`, and returns the ItemMatrix. Frames in `cached` are needed
    as long as the others are read; the caller unpersists them.
    """

    matrix: DataFrame | ItemMatrix
    user_vectors: DataFrame | None = None
    item_vectors: DataFrame | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    cached: tuple[DataFrame, ...] = ()


@dataclass(frozen=True)
class StartVectors:
    """Vectors of an earlier version, for a kind that can start from them; columns as in Fitted."""

    version: str
    user_vectors: DataFrame
    item_vectors: DataFrame


class ModelKind(ABC):
    """One kind of model with its settings.

    `start` has the vectors of a warm start, if the settings ask for one.
    """

    Settings: ClassVar[type[BaseModel]]
    has_item_vectors: ClassVar[bool] = True
    has_user_vectors: ClassVar[bool] = True
    history_order: ClassVar[str] = "column"
    start: StartVectors | None = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def mllib_values(self) -> int:
        """Return the numbers of a user or item in a model of MLlib; 0 for kinds that train without MLlib models."""
        return 0

    @property
    def predicts_ratings(self) -> bool:
        """Return True if scores are ratings, which are evaluated by their error."""
        return False

    @property
    def metric(self) -> str:
        """Return the metric that compares versions: the error of ratings if it predicts them, else NDCG of lists."""
        return "rmse" if self.predicts_ratings else "ndcg@10"

    @abstractmethod
    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Train on interactions (one row a pair).

        Other files that scoring needs are written below `folder`. Its folder CHECKPOINTS is kept when a training is
        killed, and removed after it. Raises TrainingError when there is nothing to train on.
        """

    @abstractmethod
    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return the scorer of a trained model."""

    @abstractmethod
    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add `confidence` FLOAT to histories, with the weights of the training data; null means no weight."""


def load_kind(kind: str) -> type[ModelKind]:
    """Return the class of a kind that trains on Spark; KeyError for an unknown one."""
    loaded: type[ModelKind] = load_named(KINDS[kind])
    return loaded
