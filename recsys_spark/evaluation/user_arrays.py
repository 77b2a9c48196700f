"""A block of judged users as arrays, from the Arrow batches that Spark hands to a task."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.preparation.held_out_pairs import FED, FOUND
from recsys_spark.ranking.scorer import Histories, UserBlock
from recsys_spark.recommend.recommendations import dense_vectors

__all__ = ["UserArrays"]

# As Spark sorts nulls: first.
LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True)
class UserArrays:
    """Users of a batch (build_evaluation_inputs). Of all their pairs, user by user: `row` (nnz,) the user's place in the block,
    `role`, `item_idx`, `rating` (NaN if none), `time` (long ago if none), `tie` (the order of equal times).
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
    def of(cls, batch: pa.RecordBatch) -> "UserArrays":
        """The users of a batch."""
        lengths = pc.list_value_length(batch["role"]).to_numpy()
        return cls(
            batch,
            batch["user_idx"].to_numpy(),
            np.repeat(np.arange(batch.num_rows), lengths),
            _flat(batch, "role", 0),
            _flat(batch, "item_idx", 0),
            _flat(batch, "rating", np.nan),
            _flat(batch, "time", LONG_AGO),
            _flat(batch, "tie", 0),
        )

    def __len__(self) -> int:
        return self.user_idx.size

    def known_items(self) -> NDArray[np.int64]:
        """How many items of each user models are given, (n,)."""
        return np.bincount(self.row[self.role == FED], minlength=len(self))

    def found(self) -> Csr:
        """What is to be found of each user, items ascending; the values are ratings."""
        chosen = self.role == FOUND
        lengths = np.bincount(self.row[chosen], minlength=len(self))
        return Csr.from_lengths(lengths, self.item_idx[chosen], self.rating[chosen].astype(np.float32))

    def masked(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(row, item_idx) of what may not stand in a list."""
        chosen = self.role != FOUND
        return self.row[chosen], self.item_idx[chosen]

    def block_for(self, number: int, history_order: str) -> UserBlock:
        """The users as model `number` takes them: its vectors, and the pairs that it is fed in its order."""
        confidence = _flat(self.batch, f"confidence_{number}", np.nan)
        places = np.flatnonzero(~np.isnan(confidence))
        if history_order == "time":
            places = places[np.lexsort([column[places] for column in (self.tie, self.time, self.row)])]
        else:
            # One sort of packed numbers is many times faster than one by two columns.
            places = places[np.argsort(self.row[places] << 32 | self.item_idx[places])]
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.row[places], minlength=len(self)))))
        histories = Histories(indptr, self.item_idx[places], confidence[places].astype(np.float32))
        return UserBlock(dense_vectors(self.batch[f"vector_{number}"]), histories)


def _flat(batch: pa.RecordBatch, name: str, missing: float) -> NDArray[Any]:
    values: NDArray[Any] = pc.fill_null(batch[name].flatten(), missing).to_numpy(zero_copy_only=False)
    return values
