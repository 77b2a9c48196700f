"""Latent semantic analysis (LSA): the truncated SVD of the weighted plays (Deerwester et al. 1990).

It is the best approximation of the user-item matrix of a given rank, in closed form and without regularisation. ALS
explains whether an item was played; LSA explains the weight, and takes a missing pair as a zero like any other entry.
So its results depend on the weights. BM25 gives more weight to rare items and to users with few plays.

A user vector is a left singular vector, an item vector a right singular vector times its singular value; their products
approximate the weights. The vector of a new history is its projection, by the formula of the training data's vectors.
"""

import logging
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.models.lsa_fold_in import LsaFoldIn
from recsys_spark.models.settings.lsa import LsaSettings
from recsys_spark.models.truncated_svd import (
    MatrixStatistics,
    Projection,
    TruncatedSvd,
    matrix_statistics,
    truncated_svd,
)
from recsys_spark.models.user_blocks import encode_users, user_blocks
from recsys_spark.preparation.weighting import fit_bm25, read_bm25, with_confidence, write_bm25
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_frames import matrix_frame
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.ranking.scorer import Scorer

__all__ = ["Lsa"]

log = logging.getLogger(__name__)

# Limit for the files of all tasks of a pass together; for a wider matrix, fewer tasks are used.
MAX_PASS_BYTES = 8 << 30


class Lsa(ModelKind):
    """The kind `lsa`: vectors by truncated SVD, and fold-in by projection."""

    Settings: ClassVar[type[BaseModel]] = LsaSettings

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Decompose the weighted pairs, and write item vectors and statistics of weights below `folder`.

        Items without plays, and users without an item of the model, have no vector. With `center`, cosines between
        items are those of the directions alone (`item_vectors`); vectors in tables also have the component for means.
        Raises ConfigError for a rank that the data cannot have or a matrix above max_matrix_bytes, TrainingError when
        there is nothing to train on.
        """
        settings: LsaSettings = self.settings
        bm25 = write_bm25(fit_bm25(interactions), folder) if settings.needs_statistics else None
        weighted = with_confidence(interactions, settings, bm25)
        n_items = _n_items(interactions)
        blocks = user_blocks(weighted, self._n_tasks(n_items, parallelism)).persist()
        passes = folder / "passes"
        shutil.rmtree(passes, ignore_errors=True)
        passes.mkdir(parents=True)
        try:
            statistics = matrix_statistics(blocks, n_items, passes)
            projection = Projection(settings.rank, settings.oversampling, settings.iterations, settings.center, seed)
            svd = truncated_svd(blocks, statistics, projection, passes)
            matrix = self._save(svd, statistics, folder)
        except BaseException:
            blocks.unpersist()
            raise
        finally:
            shutil.rmtree(passes, ignore_errors=True)
        user_vectors = encode_users(blocks, matrix, LsaFoldIn(settings.center))
        item_vectors = matrix_frame(interactions.sparkSession, matrix, "item")
        return Fitted(matrix, user_vectors, item_vectors, _metrics(svd, statistics, settings.center), cached=(blocks,))

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return a scorer by dot products, with projection of users without a vector."""
        return DotScorer(matrix, LsaFoldIn(self.settings.center))

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add the weights of training as confidence."""
        statistics = read_bm25(interactions.sparkSession, folder) if self.settings.needs_statistics else None
        return with_confidence(interactions, self.settings, statistics)

    def _n_tasks(self, n_items: int, parallelism: int) -> int:
        """Return the number of tasks: one a core, or fewer to keep their files within MAX_PASS_BYTES."""
        settings: LsaSettings = self.settings
        size = 8 * n_items * (settings.rank + settings.oversampling)
        if size > settings.max_matrix_bytes:
            raise ConfigError(
                f"{n_items} items by rank + oversampling take {size:,} bytes, above models.lsa.max_matrix_bytes = "
                f"{settings.max_matrix_bytes:,}. Raise that key if the driver and every task have the memory for it; "
                "else lower models.lsa.rank, or raise interactions.min_item_users to leave fewer items"
            )
        return max(1, min(parallelism, MAX_PASS_BYTES // max(size, 1)))

    def _save(self, svd: TruncatedSvd, statistics: MatrixStatistics, folder: Path) -> ItemMatrix:
        rows = (svd.items * svd.values).astype(np.float32)
        n_items, rank = rows.shape
        limit: int = self.settings.max_matrix_bytes
        for name in ("items", "item_vectors"):
            shutil.rmtree(folder / name, ignore_errors=True)
        if self.settings.center:
            write_item_arrays(rows, folder / "item_vectors", n_items, rank, limit)
            rows, rank = np.column_stack([rows, statistics.mean.astype(np.float32)]), rank + 1
        return write_item_arrays(rows, folder / "items", n_items, rank, limit)


def _n_items(interactions: DataFrame) -> int:
    (row,) = interactions.agg(F.max("item_idx")).collect()
    return 0 if row[0] is None else int(row[0]) + 1


def _metrics(svd: TruncatedSvd, statistics: MatrixStatistics, center: bool) -> dict[str, float]:
    """Return the number of pairs, and the explained share of their squares in percent."""
    explained = 100 * float((svd.values**2).sum()) / statistics.total(center)
    log.info("%d directions explain %.1f %% of the squared weights", np.count_nonzero(svd.values), explained)
    return {"observations": float(statistics.users.sum()), "explained_percent": explained}
