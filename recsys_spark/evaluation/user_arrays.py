"""Evaluation inputs of a block of users as arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.preparation.held_out_pairs import INPUT, TARGET
from recsys_spark.ranking.scorer import Histories, UserBlock
from recsys_spark.recommend.recommendations import dense_vectors

__all__ = ["UserArrays"]

# Time of pairs without one: Spark sorts nulls first.
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class UserArrays:
    """Users of an Arrow batch of evaluation inputs, with all their pairs.

    Pairs are arrays (nnz,), user by user: `row` (the user's place in the block), `role`, `item_idx`, `rating` (NaN if
    none), `time` (NO_TIME if none), `tie` (the order of equal times).
    """

    batch: pa.RecordBatch
    user_idx: NDArray[np.int32]
    row: NDArray[np.int64]
    role: NDArray[np.int32]
    item_idx: NDArray[np.int32]
    rating: NDArray[np.float64]
    time: NDArray[np.int64]
    tie: NDArray[np.int64]

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> "UserArrays":
        """Return the users of a batch of build_evaluation_inputs."""
        lengths = pc.list_value_length(batch["role"]).to_numpy()
        return cls(
            batch,
            batch["user_idx"].to_numpy(),
            np.repeat(np.arange(batch.num_rows), lengths),
            _flat(batch, "role", 0),
            _flat(batch, "item_idx", 0),
            _flat(batch, "rating", np.nan),
            _flat(batch, "time", NO_TIME),
            _flat(batch, "tie", 0),
        )

    def __len__(self) -> int:
        return self.user_idx.size

    def known_items(self) -> NDArray[np.int64]:
        """Return the number of input items of each user, (n,)."""
        return np.bincount(self.row[self.role == INPUT], minlength=len(self))

    def targets(self) -> Csr:
        """Return the target items of each user, items ascending; the values are ratings."""
        chosen = self.role == TARGET
        lengths = np.bincount(self.row[chosen], minlength=len(self))
        return Csr.from_lengths(lengths, self.item_idx[chosen], self.rating[chosen].astype(np.float32))

    def excluded(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return (row, item_idx) of the pairs that lists leave out."""
        chosen = self.role != TARGET
        return self.row[chosen], self.item_idx[chosen]

    def block_for(self, number: int, history_order: str) -> UserBlock:
        """Return the input of model `number`: its vectors, and the histories in its order."""
        confidence = _flat(self.batch, f"confidence_{number}", np.nan)
        places = np.flatnonzero(~np.isnan(confidence))
        if history_order == "time":
            places = places[np.lexsort([column[places] for column in (self.tie, self.time, self.row)])]
        else:
            # Sorting packed numbers is many times faster than sorting by two columns.
            places = places[np.argsort(self.row[places] << 32 | self.item_idx[places])]
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.row[places], minlength=len(self)))))
        histories = Histories(indptr, self.item_idx[places], confidence[places].astype(np.float32))
        return UserBlock(dense_vectors(self.batch[f"vector_{number}"]), histories)


def _flat(batch: pa.RecordBatch, name: str, missing: float) -> NDArray[Any]:
    values: NDArray[Any] = pc.fill_null(batch[name].flatten(), missing).to_numpy(zero_copy_only=False)
    return values
