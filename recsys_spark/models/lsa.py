"""Latent semantic analysis: the truncated SVD of the weighted plays (Deerwester et al. 1990).

The best summary of the matrix of users and items in a few directions, in closed form and without regularisation. Where
ALS explains that something was played, this explains how much, and takes what was not played for a zero as good as any
other: weights decide what it finds. BM25 makes rare items and light listeners count.

A user is a left singular vector, an item a right one times its singular value, so that their products are the weights
as the few directions tell them. The vector of a new history is its projection, by the very formula that made those of
the training data.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.models.truncated_svd import MatrixFacts, Projection, TruncatedSvd, matrix_facts, truncated_svd
from recsys_spark.models.user_blocks import encoded_users, user_blocks
from recsys_spark.preparation.weighting import (
    Weighting,
    WeightingSettings,
    fit_bm25,
    write_bm25,
    read_bm25,
    with_confidence,
)
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.ranking.matrix_frames import matrix_frame
from recsys_spark.ranking.scorer import DotScorer, FoldIn, Histories, Scorer

__all__ = ["Lsa", "LsaFoldIn", "LsaSettings"]

log = logging.getLogger(__name__)

# The files of all tasks of a pass together; a wider matrix means fewer tasks.
MAX_PASS_BYTES = 8 << 30


class LsaSettings(WeightingSettings):
    """Settings of LSA."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(8, 512, log=True),
        "weighting": Choice(("linear", "log", "binary", "bm25", "tf_idf")),
    }

    weighting: Weighting = Field(
        default="bm25", description=WeightingSettings.model_fields["weighting"].description or ""
    )
    rank: int = Field(default=50, ge=1, le=1024, description="Length of the vectors.")
    iterations: int = Field(default=5, ge=0, le=100, description="Power iterations: more come closer to the exact SVD.")
    oversampling: int = Field(default=10, ge=0, le=1024, description="Directions looked at beyond those kept.")
    center: bool = Field(
        default=False, description="Take each item's mean off (PCA); vectors get one more component, for the means."
    )
    max_matrix_bytes: int = Field(
        default=2 << 30,
        ge=1,
        description="Largest matrix of items by rank + oversampling, 8 bytes each; the driver holds three, a task two.",
    )


@dataclass(frozen=True)
class LsaFoldIn:
    """Projects a history on the directions of the items: x V / S, from the rows V S of the matrix.

    That is the vector for which products with the item vectors come closest to the history: the least squares solution,
    which orthogonal directions give without solving anything. Where items were centred, the last column of the matrix
    holds their means and the last component of a user is 1.
    """

    center: bool = False
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        inside = (histories.item_idx >= 0) & (histories.item_idx < matrix.n_items)
        known = histories.only(inside & np.isfinite(histories.confidence))
        items, places = np.unique(known.item_idx, return_inverse=True)
        rows = matrix.rows(items)
        entries = sparse.csr_matrix((known.confidence, places, known.indptr), (len(known), items.size))
        vectors = entries @ rows.astype(np.float64)
        gram, is_served = matrix.gram(), vectors.any(axis=1)
        if self.center:
            vectors -= gram[-1]
        squares = np.diag(gram)
        vectors = np.divide(vectors, squares, out=np.zeros_like(vectors), where=squares > 0)
        if self.center:
            vectors[:, -1] = 1
        folded: NDArray[np.float32] = (vectors * is_served[:, None]).astype(np.float32)
        return folded


class Lsa(ModelKind):
    """The truncated SVD as the jobs see it."""

    Settings: ClassVar[type[BaseModel]] = LsaSettings

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Decomposes the weighted pairs; below `folder` leaves the item vectors and the statistics behind weights.

        Items without plays and users without a known item have no vector. With `center`, cosines between items are
        those of the directions alone (`item_vectors`), and vectors in tables have the component for the means as well.
        Raises ConfigError for a rank that the data cannot have or a matrix above max_matrix_bytes, TrainingError when
        there is nothing to train on.
        """
        settings: LsaSettings = self.settings
        statistics = write_bm25(fit_bm25(interactions), folder) if settings.needs_statistics else None
        weighted = with_confidence(interactions, settings, statistics)
        n_items = _n_items(interactions)
        blocks = user_blocks(weighted, self._n_tasks(n_items, parallelism)).persist()
        passes = folder / "passes"
        shutil.rmtree(passes, ignore_errors=True)
        passes.mkdir(parents=True)
        try:
            facts = matrix_facts(blocks, n_items, passes)
            how = Projection(settings.rank, settings.oversampling, settings.iterations, settings.center, seed)
            found = truncated_svd(blocks, facts, how, passes)
            matrix = self._save(found, facts, folder)
        except BaseException:
            blocks.unpersist()
            raise
        finally:
            shutil.rmtree(passes, ignore_errors=True)
        user_vectors = encoded_users(blocks, matrix, LsaFoldIn(settings.center))
        item_vectors = matrix_frame(interactions.sparkSession, matrix, "item")
        return Fitted(matrix, user_vectors, item_vectors, _metrics(found, facts, settings.center), cached=(blocks,))

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Dot products; strangers are projected."""
        return DotScorer(matrix, LsaFoldIn(self.settings.center))

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """The weights that training would have used."""
        statistics = read_bm25(interactions.sparkSession, folder) if self.settings.needs_statistics else None
        return with_confidence(interactions, self.settings, statistics)

    def _n_tasks(self, n_items: int, parallelism: int) -> int:
        """As many as there are cores, unless their files would fill the disk."""
        settings: LsaSettings = self.settings
        size = 8 * n_items * (settings.rank + settings.oversampling)
        if size > settings.max_matrix_bytes:
            raise ConfigError(
                f"{n_items} items by rank + oversampling take {size:,} bytes, above models.lsa.max_matrix_bytes = "
                f"{settings.max_matrix_bytes:,}. Raise that key if the driver and every task have the memory for it; "
                "else lower models.lsa.rank, or interactions.min_item_users should leave fewer items"
            )
        return max(1, min(parallelism, MAX_PASS_BYTES // max(size, 1)))

    def _save(self, found: TruncatedSvd, facts: MatrixFacts, folder: Path) -> ItemMatrix:
        rows = (found.items * found.values).astype(np.float32)
        n_items, rank = rows.shape
        limit: int = self.settings.max_matrix_bytes
        for name in ("items", "item_vectors"):
            shutil.rmtree(folder / name, ignore_errors=True)
        if self.settings.center:
            save_item_matrix(rows, folder / "item_vectors", n_items, rank, limit)
            rows, rank = np.column_stack([rows, facts.mean.astype(np.float32)]), rank + 1
        return save_item_matrix(rows, folder / "items", n_items, rank, limit)


def _n_items(interactions: DataFrame) -> int:
    (row,) = interactions.agg(F.max("item_idx")).collect()
    return 0 if row[0] is None else int(row[0]) + 1


def _metrics(found: TruncatedSvd, facts: MatrixFacts, center: bool) -> dict[str, float]:
    """Pairs trained on, and how much of their squares the directions hold."""
    explained = 100 * float((found.values**2).sum()) / facts.total(center)
    log.info("%d directions explain %.1f %% of the squared weights", np.count_nonzero(found.values), explained)
    return {"observations": float(facts.users.sum()), "explained_percent": explained}
