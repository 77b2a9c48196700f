"""Sparse rows as numpy arrays, the exchange format between Spark and torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Csr"]


@dataclass(frozen=True)
class Csr:
    """Rows of a sparse matrix: `indptr` (n + 1,) int64, `indices` (nnz,) int32, `values` (nnz,) float32."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return self.indptr.size - 1

    @classmethod
    def from_lengths(cls, lengths: NDArray[np.int64], indices: NDArray[np.int32], values: NDArray[np.float32]) -> "Csr":
        """Build rows from the number of entries of each row."""
        return cls(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))), indices, values)

    @classmethod
    def empty(cls) -> "Csr":
        """Return a matrix without rows."""
        return cls(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @classmethod
    def concat(cls, parts: Sequence["Csr"]) -> "Csr":
        """Return the rows of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        lengths = np.concatenate([part.lengths() for part in parts])
        indices, values = ([getattr(part, name) for part in parts] for name in ("indices", "values"))
        return cls.from_lengths(lengths, np.concatenate(indices), np.concatenate(values))

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of entries of each row, (n,)."""
        return np.diff(self.indptr)

    def take(self, rows: NDArray[np.intp]) -> "Csr":
        """Return copies of some rows, in the order of `rows`."""
        lengths = self.lengths()[rows]
        starts = np.cumsum(lengths) - lengths
        entries = np.arange(lengths.sum()) + np.repeat(self.indptr[rows] - starts, lengths)
        return Csr.from_lengths(lengths, self.indices[entries], self.values[entries])

    def between(self, start: int, stop: int) -> "Csr":
        """Return the rows [start, stop) without copying their entries."""
        first, last = self.indptr[start], self.indptr[stop]
        return Csr(self.indptr[start : stop + 1] - first, self.indices[first:last], self.values[first:last])
