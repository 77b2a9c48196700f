"""Conjugate gradient for the rows of a CSR block, compiled by numba.

Each row x minimises x'(D + sum w_j y_j y_j')x - 2 sum t_j y_j'x, where D is diagonal: the factors of the other side are
given in the eigenbasis of their product Y'Y, in which the k x k product of each step becomes k products. The
preconditioner is the diagonal of the row's matrix (Jacobi). Steps start from the row's last value (Takacs, Pilaszy and
Tikk 2011: a few steps a pass suffice).

The code is compiled once and cached beside this file, in NUMBA_CACHE_DIR or in the user's cache folder. Arguments have
one type each, so that read-only maps of files do not cause another compilation.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, no_type_check

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

__all__ = ["solve_rows"]

# Sums may be reordered and fused, but infinities and NaN keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}
TINY = np.float32(1e-30)


def solve_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    targets: NDArray[np.float32],
    ridge: NDArray[np.float32],
    eigenvalues: NDArray[np.float32],
    factors: NDArray[np.float32],
    rows: NDArray[np.float32],
    steps: int,
) -> float:
    """Improve `rows`, (n, k), in place and return the sum of their quadratic terms.

    CSR rows have indptr (n + 1,), indices, weights w and targets t (nnz,). D is eigenvalues (k,) plus the row's entry
    of ridge (n,). factors (m, k) are those of the other side. A row without entries becomes zero. The quadratic term of
    a row is x'Ax - 2 b'x after the last step.
    """
    return float(_compiled()(indptr, indices, weights, targets, ridge, eigenvalues, factors, rows, steps))


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., float]:
    def array(dtype: types.Type, dimensions: int = 1, readonly: bool = True) -> types.Array:
        return types.Array(dtype, dimensions, "C", readonly=readonly)

    reals = array(types.float32)
    matrices = array(types.float32, 2), array(types.float32, 2, readonly=False)
    arguments = (array(types.int64), array(types.int32), reals, reals, reals, reals, *matrices, types.int64)
    signature = types.float64(*arguments)
    options: dict[str, Any] = {"nogil": True, "fastmath": FAST, "boundscheck": False}
    try:
        compiled: Callable[..., float] = numba.njit(signature, cache=True, **options)(_solve_rows)
    except (RuntimeError, OSError):
        # No folder for the cache is writable: every process compiles.
        compiled = numba.njit(signature, **options)(_solve_rows)
    return compiled


# One function, as numba compiles and caches it as one; its types are those of the signature above.
@no_type_check
def _solve_rows(  # noqa: PLR0912
    indptr, indices, weights, targets, ridge, eigenvalues, factors, rows, steps
):
    k = rows.shape[1]
    right, residual, inverse = np.empty(k, np.float32), np.empty(k, np.float32), np.empty(k, np.float32)
    direction, product = np.empty(k, np.float32), np.empty(k, np.float32)
    total = 0.0
    for row in range(rows.shape[0]):
        first, last = indptr[row], indptr[row + 1]
        x = rows[row]
        if first == last:
            x[:] = 0
            continue
        for f in range(k):
            diagonal = eigenvalues[f] + ridge[row]
            inverse[f] = diagonal
            residual[f] = -diagonal * x[f]
            right[f] = 0
        # One sweep over the entries: right side b, residual b - Ax, diagonal of A.
        for j in range(first, last):
            y = factors[indices[j]]
            weight, target = weights[j], targets[j]
            dot = np.float32(0)
            for f in range(k):
                dot += y[f] * x[f]
            rest = target - weight * dot
            for f in range(k):
                right[f] += target * y[f]
                residual[f] += rest * y[f]
                inverse[f] += weight * y[f] * y[f]
        # In float64, as the square of a residual may exceed the range of float32.
        norm = 0.0
        for f in range(k):
            inverse[f] = np.float32(1) / max(inverse[f], TINY)
            direction[f] = inverse[f] * residual[f]
            norm += np.float64(direction[f]) * np.float64(residual[f])
        for _ in range(steps):
            if not norm > TINY:
                break
            for f in range(k):
                product[f] = (eigenvalues[f] + ridge[row]) * direction[f]
            for j in range(first, last):
                y = factors[indices[j]]
                dot = np.float32(0)
                for f in range(k):
                    dot += y[f] * direction[f]
                dot *= weights[j]
                for f in range(k):
                    product[f] += dot * y[f]
            curvature = np.float32(0)
            for f in range(k):
                curvature += direction[f] * product[f]
            if not curvature > 0:
                break
            length = np.float32(norm / curvature)
            following = 0.0
            for f in range(k):
                x[f] += length * direction[f]
                residual[f] -= length * product[f]
                following += np.float64(inverse[f]) * np.float64(residual[f]) * np.float64(residual[f])
            growth = np.float32(following / norm)
            norm = following
            for f in range(k):
                direction[f] = inverse[f] * residual[f] + growth * direction[f]
        # x'Ax - 2b'x = -x'(b + r), as Ax = b - r.
        quadratic = 0.0
        for f in range(k):
            quadratic += np.float64(x[f]) * (np.float64(right[f]) + np.float64(residual[f]))
        total -= quadratic
    return total
