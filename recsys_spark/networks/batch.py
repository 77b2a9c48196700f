"""Batches of sparse rows on one device: the input of every network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Rows of a sparse matrix in CSR form.

    `rows` (n,) int64 numbers of the rows (user_idx or item_idx), `indptr` (n + 1,) int64, `indices` (nnz,) int64,
    `values` (nnz,) float32, `weights` (n,) float32: 1 for a row that counts, 0 for a padding row. `n_columns`
    is the width of the matrix. `side` (n, fields) int64: numbers of the features of the rows' users, from 1; 0 for a
    missing feature. It is None if the batch has no profiles. `host_indptr` is a copy of `indptr` in the memory of the
    host, for a batch that was moved to a GPU, so that reading it does not wait for the GPU.
    """

    rows: Tensor
    indptr: Tensor
    indices: Tensor
    values: Tensor
    weights: Tensor
    n_columns: int
    side: Tensor | None = None
    host_indptr: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        rows: NDArray[np.integer[Any]],
        indptr: NDArray[np.integer[Any]],
        indices: NDArray[np.integer[Any]],
        values: NDArray[np.floating[Any]],
        n_columns: int,
        side: NDArray[np.integer[Any]] | None = None,
    ) -> "Batch":
        """Build a batch from arrays, whose rows all count; without any row, one empty padding row."""
        if not len(rows):
            return cls.from_arrays(np.zeros(1, np.int64), np.zeros(2, np.int64), indices, values, n_columns)._padding()
        return cls(
            torch.from_numpy(rows.astype(np.int64)),
            torch.from_numpy(indptr.astype(np.int64)),
            torch.from_numpy(indices.astype(np.int64)),
            torch.from_numpy(values.astype(np.float32)),
            torch.ones(len(rows)),
            n_columns,
            None if side is None else torch.from_numpy(side.astype(np.int64)),
        )

    def __len__(self) -> int:
        return self.rows.numel()

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device; from pinned memory the copy does not wait for the device."""
        moved = self._with_tensors(lambda tensor: tensor.to(device, non_blocking=True))
        on_host = self.indptr.device.type == "cpu" and device.type != "cpu"
        return replace(moved, host_indptr=self.indptr) if on_host else moved

    def pinned(self) -> "Batch":
        """Return the batch in page-locked memory of the host, from which GPUs copy directly."""
        return self._with_tensors(Tensor.pin_memory)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that move with the batch, by the names of their fields."""
        names = ("rows", "indptr", "indices", "values", "weights", "side")
        return {name: tensor for name in names if (tensor := getattr(self, name)) is not None}

    def with_values(self, values: Tensor) -> "Batch":
        """Return the batch with other values (nnz,) for its entries."""
        return replace(self, values=values)

    def lengths(self) -> Tensor:
        """Return the number of entries of each row, (n,) int64."""
        return self.indptr.diff()

    def entry_rows(self) -> Tensor:
        """Return the row number within the batch of each entry, (nnz,) int64."""
        return torch.repeat_interleave(self.lengths(), output_size=self.indices.numel())

    def row_sums(self, values: Tensor) -> Tensor:
        """Return the sums of `values` (nnz,) over the entries of each row, (n,)."""
        return values.new_zeros(len(self)).index_add_(0, self.entry_rows(), values)

    def dense(self) -> Tensor:
        """Return the rows as a dense matrix, (n, n_columns), for small catalogues and tests."""
        full = self.values.new_zeros(len(self), self.n_columns)
        return full.index_put_((self.entry_rows(), self.indices), self.values, accumulate=True)

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.tensors().items()}
        return replace(self, **changed)

    def _padding(self) -> "Batch":
        return replace(self, weights=torch.zeros_like(self.weights))
