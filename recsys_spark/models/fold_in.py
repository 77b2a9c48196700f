"""User vectors of new histories for a trained factorisation: one ridge regression a user.

With fixed item vectors, ALS has a closed form for each user. Its solution for a new history is the vector that training
would have computed, so new users need no retraining. Users are solved in batches of padded arrays of similar length,
since a loop over users in Python would be slow. Weights and regularisation are those of training.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.models.block_als.objective import Objective

__all__ = ["fold_in_explicit", "fold_in_implicit"]

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

BATCH_BYTES = 64 << 20


def fold_in_implicit(
    item_vectors: Floats,
    gram: Floats,
    indptr: Integers,
    indices: Integers,
    confidence: Floats,
    objective: Objective,
    n_items: int,
) -> NDArray[np.float32]:
    """Return the vectors, (n_users, k), of histories given as CSR rows over the items.

    item_vectors (m, k), gram the product with itself (k, k) of the vectors of all `n_items` items of the model, indptr
    (n_users + 1,), indices and confidence (nnz,). Solves (w Y'Y + sum alpha |r_i| y_i y_i' + ridge I) x =
    sum over r_i > 0 of (w + alpha r_i) y_i with w and ridge of the objective (Hu, Koren and Volinsky 2008). Entries for
    items outside the matrix, with a zero vector or without a confidence (NaN) are ignored; a history without other
    entries has a zero vector. Peak memory is about 100 MB, or the length of the longest history x k x 16 bytes if that
    is more.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    curvature, target, positive = objective.pair_terms(confidence)
    return _solve(
        item_vectors,
        _Histories(indptr, indices, _has_vector(item_vectors, indices) & (np.nan_to_num(confidence) != 0)),
        curvature=curvature,
        target=target,
        counted=positive,
        gram=objective.base_weight * gram,
        ridge=partial(objective.ridge, n_others=n_items),
    )


def fold_in_explicit(
    item_vectors: Floats, indptr: Integers, indices: Integers, rating: Floats, objective: Objective
) -> NDArray[np.float32]:
    """Return the vectors, (n_users, k), of rated histories given as CSR rows over the items.

    Solves (sum y_i y_i' + ridge I) x = sum rating_i y_i over n ratings: ALS with weighted regularisation (Zhou et al.
    2008). Arguments, ignored entries and memory are as in fold_in_implicit.
    """
    rating = np.asarray(rating, dtype=np.float64)
    ones = np.ones(rating.size)
    return _solve(
        item_vectors,
        _Histories(indptr, indices, _has_vector(item_vectors, indices) & ~np.isnan(rating)),
        curvature=ones,
        target=rating,
        counted=ones,
        gram=np.zeros((item_vectors.shape[1],) * 2),
        ridge=partial(objective.ridge, n_others=0),
    )


class _Histories:
    """The valid entries of histories in CSR order, with row starts and lengths."""

    def __init__(self, indptr: Integers, indices: Integers, is_valid: NDArray[np.bool_]) -> None:
        self.entries = np.flatnonzero(is_valid)
        self.indices = indices[self.entries]
        self.starts = np.searchsorted(self.entries, indptr)
        self.lengths = np.diff(self.starts)

    def batches(self, rank: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]]:
        """Yield batches of users of similar length: (users (b,), places (b, longest), is_entry (b, longest)).

        Places index the entries; those where is_entry is False are padding.
        """
        users = np.argsort(self.lengths, kind="stable")
        users = users[self.lengths[users] > 0]
        while users.size:
            # Batches are taken from the end: the last user has the longest history.
            longest = int(self.lengths[users[-1]])
            size = max(1, BATCH_BYTES // (8 * rank * (2 * longest + 2 * rank)))
            users, batch = users[:-size], users[-size:]
            offsets = np.arange(longest)
            is_entry = offsets < self.lengths[batch, None]
            yield batch, np.where(is_entry, self.starts[batch, None] + offsets, 0), is_entry


def _has_vector(item_vectors: Floats, indices: Integers) -> NDArray[np.bool_]:
    inside = (indices >= 0) & (indices < len(item_vectors))
    found: NDArray[np.bool_] = inside.copy()
    found[inside] = item_vectors.any(axis=1)[indices[inside]]
    return found


def _solve(
    item_vectors: Floats,
    histories: _Histories,
    curvature: Floats,
    target: Floats,
    counted: NDArray[Any],
    gram: Floats,
    ridge: Callable[[Floats], Floats],
) -> NDArray[np.float32]:
    """Solve for each user: (gram + sum curvature_i y_i y_i' + ridge(sum counted_i) I) x = sum target_i y_i."""
    rank = item_vectors.shape[1]
    curvature, target, counted = (values[histories.entries] for values in (curvature, target, counted))
    vectors = np.zeros((histories.lengths.size, rank), dtype=np.float32)
    for users, places, is_entry in histories.batches(rank):
        items = item_vectors[histories.indices[places]].astype(np.float64)
        weighted = items * np.where(is_entry, curvature[places], 0)[:, :, None]
        system = gram + np.matmul(weighted.transpose(0, 2, 1), items)
        counts = np.where(is_entry, counted[places], 0).sum(axis=1)
        system[:, np.arange(rank), np.arange(rank)] += ridge(counts)[:, None]
        right = np.matmul(np.where(is_entry, target[places], 0)[:, None, :], items)
        vectors[users] = np.linalg.solve(system, right.transpose(0, 2, 1))[:, :, 0]
    return vectors
