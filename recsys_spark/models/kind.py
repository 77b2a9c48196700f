"""What a model kind that trains on Spark must answer. A new one is a class like these and a line in the registry."""

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

__all__ = ["Fitted", "ModelKind", "load_kind"]


@dataclass(frozen=True)
class Fitted:
    """What training gives.

    user_vectors (user_idx INT, vector ARRAY<FLOAT>) and item_vectors (item_idx INT, vector) go to the tables of
    these names, where the kind has such vectors. `matrix` (item_idx INT, vector) is what scoring maps into the
    executors: the item vectors, or whatever else the kind's scorer needs of each item. A kind that makes it on the
    driver has written it below its folder as `items` already, and gives the ItemMatrix. Frames in `cached` are kept in
    memory for as long as the others are read, and given up by who reads them.
    """

    matrix: DataFrame | ItemMatrix
    user_vectors: DataFrame | None = None
    item_vectors: DataFrame | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    cached: tuple[DataFrame, ...] = ()


class ModelKind(ABC):
    """One kind of model with its settings."""

    Settings: ClassVar[type[BaseModel]]
    has_item_vectors: ClassVar[bool] = True
    has_user_vectors: ClassVar[bool] = True
    history_order: ClassVar[str] = "column"

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def predicts_ratings(self) -> bool:
        """Whether scores are ratings, to be judged by their error."""
        return False

    @property
    def metric(self) -> str:
        """What versions are compared by: the error of ratings where it predicts those, else of lists."""
        return "rmse" if self.predicts_ratings else "ndcg@10"

    @abstractmethod
    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Trains on interactions (one row a pair); what else scoring will need is written below `folder`.

        Raises TrainingError when there is nothing to train on.
        """

    @abstractmethod
    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """The trained model as recommending sees it."""

    @abstractmethod
    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Adds `confidence` FLOAT to histories, weighted as the training data were; null: not to be counted."""


def load_kind(kind: str) -> type[ModelKind]:
    """Return the class of a kind that trains on Spark; KeyError for an unknown one."""
    loaded: type[ModelKind] = load_named(KINDS[kind])
    return loaded
