"""Repulsion of all pairs of points in t-SNE, by Fourier transform on a grid.

The pairwise sums of t-SNE are convolutions of smooth kernels with the points. Points are spread over the nearest nodes
of a grid and convolved there, and the result is interpolated between the nodes (FIt-SNE, Linderman et al. 2019). The
cost grows with the area instead of the square of the number of points. The result is deterministic.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["repulsion"]

Reals = NDArray[np.float64]

# The kernels change over a length of about one.
SPACING = 0.3
MAX_CELLS = 640
# The grid grows in steps, so that few kernels are transformed again while the points move apart.
SIZE_STEP = 32
OFFSETS = np.array([-1, 0, 1])


class _Kernels(NamedTuple):
    """Fourier transforms of the kernels of t-SNE on one grid.

    `closeness` is 1 / (1 + d^2); `push_x` and `push_y` are the components of d / (1 + d^2)^2. `own`, (9, 9), is the
    closeness between the nodes that one point is spread over.
    """

    size: int
    own: Reals
    closeness: NDArray[np.complex128]
    push_x: NDArray[np.complex128]
    push_y: NDArray[np.complex128]


def repulsion(points: Reals) -> tuple[Reals, float]:
    """Return the repulsion of each of the points (n, 2), and the total closeness.

    The first is the sum over j of (y_i - y_j) / (1 + |y_i - y_j|^2)^2, (n, 2). The second is the sum over all pairs
    i != j of 1 / (1 + |y_i - y_j|^2).
    """
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    spacing = max(SPACING, extent / MAX_CELLS)
    cells = int(extent / spacing) + 4
    kernels = _kernels(-(-cells // SIZE_STEP) * SIZE_STEP, spacing)
    nodes, weights = _spread((points - low) / spacing + 1, kernels.size)
    grid = np.bincount(nodes.ravel(), weights.ravel(), minlength=kernels.size**2)
    spectrum = fft.rfft2(grid.reshape(kernels.size, kernels.size))
    pushed = [
        _interpolate(spectrum * kernel, nodes, weights, kernels.size) for kernel in (kernels.push_x, kernels.push_y)
    ]
    itself = float(np.einsum("ij,ij->", weights @ kernels.own, weights))
    return np.stack(pushed, axis=1), _total(spectrum, kernels) - itself


@lru_cache(maxsize=4)
def _kernels(cells: int, spacing: float) -> _Kernels:
    """Return the kernels for grids of up to `cells` nodes a side.

    Grids are padded to twice that size, because a Fourier transform is periodic.
    """
    size = int(fft.next_fast_len(2 * cells, real=True))
    steps = np.fft.fftfreq(size, 1 / size) * spacing
    closeness = 1 / (1 + steps[:, None] ** 2 + steps[None, :] ** 2)
    push_x = steps[:, None] * closeness**2
    offsets = np.stack(np.meshgrid(OFFSETS, OFFSETS, indexing="ij"), axis=2).reshape(9, 2) * spacing
    own = 1 / (1 + ((offsets[:, None] - offsets[None]) ** 2).sum(axis=2))
    return _Kernels(size, own, fft.rfft2(closeness), fft.rfft2(push_x), fft.rfft2(push_x.T))


def _spread(places: Reals, size: int) -> tuple[NDArray[np.int64], Reals]:
    """Return the nine nodes around each point, and its weight in each, (n, 9) both.

    Weights are those of quadratic interpolation.
    """
    nearest = np.rint(places).astype(np.int64)
    off = places - nearest
    shares = np.stack([off * (off - 1) / 2, 1 - off**2, off * (off + 1) / 2], axis=2)
    nodes = (nearest[:, 0, None, None] + OFFSETS[:, None]) * size + nearest[:, 1, None, None] + OFFSETS
    weights = shares[:, 0, :, None] * shares[:, 1, None, :]
    return nodes.reshape(-1, 9), weights.reshape(-1, 9)


def _interpolate(spectrum: NDArray[np.complex128], nodes: NDArray[np.int64], weights: Reals, size: int) -> Reals:
    """Return the field of a spectrum at the points, (n,)."""
    field = fft.irfft2(spectrum, s=(size, size)).ravel()
    values: Reals = np.einsum("ij,ij->i", field[nodes], weights)
    return values


def _total(spectrum: NDArray[np.complex128], kernels: _Kernels) -> float:
    """Return the closeness summed over all pairs, i = j included, by Parseval's theorem."""
    energy = ((spectrum.real**2 + spectrum.imag**2) * kernels.closeness.real).sum(axis=0)
    # rfft2 keeps half of the columns: each counts twice, except the first and the middle one of an even size.
    once = energy[0] + (energy[-1] if kernels.size % 2 == 0 else 0)
    return float((2 * energy.sum() - once) / kernels.size**2)
