"""Layout of vectors in the plane by t-SNE on the graph of nearest neighbours.

All neighbours attract each other with the same weight; calibrated weights make almost no difference (Boehm et al.
2022). All points repel each other (map_repulsion.py). The layout starts from the first two principal components, and
the first steps exaggerate attraction. Both keep the global shape as well as the local one (Kobak and Berens 2019).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_spark.report.map_repulsion import repulsion

__all__ = ["NEIGHBOURS", "lay_out", "principal_plane"]

Reals = NDArray[np.float64]

NEIGHBOURS = 15
EXAGGERATION = 12.0
EARLY_STEPS = 150
STEPS = 500
MOMENTUM = 0.8
LEAST_GAIN = 0.01
LONGEST_STEP = 5.0
START_DEVIATION = 1e-2


def principal_plane(unit: NDArray[np.float32]) -> Reals:
    """Return the coordinates (n, 2) along the first two principal components.

    The larger component comes first. A component that the vectors lack is zero.
    """
    exact = unit.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    # The sign of a component is arbitrary; its largest entry is made positive.
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    plane = np.zeros((unit.shape[0], 2))
    plane[:, : axes.shape[1]] = centred @ axes
    return plane


def lay_out(unit: NDArray[np.float32], nearest: NDArray[np.int64], seed: int) -> Reals:
    """Return points (n, 2) for n unit vectors, so that near vectors have near points.

    `nearest` (n, k) are the nearest rows of each vector; the first 15 are used. Memory is about 1 KB a vector and
    50 MB for the grid. Noise drawn from `seed` separates equal vectors.
    """
    points = _start(unit, seed)
    n = points.shape[0]
    if n < 3:
        return points
    edges = _Edges(nearest[:, :NEIGHBOURS])
    rate = max(n / EXAGGERATION, 50.0)
    step, gains = np.zeros_like(points), np.ones_like(points)
    for number in range(STEPS):
        exaggeration = EXAGGERATION if number < EARLY_STEPS else 1.0
        pushes, total = repulsion(points)
        slope = exaggeration * edges.pulls(points) - pushes / max(total, 1e-12)
        gains = np.maximum(np.where(slope * step < 0, gains + 0.2, gains * 0.8), LEAST_GAIN)
        step = MOMENTUM * step - rate * gains * slope
        length = np.sqrt((step**2).sum(axis=1, keepdims=True))
        step = step * np.minimum(1, LONGEST_STEP / np.maximum(length, 1e-12))
        points = points + step
    centred: Reals = points - points.mean(axis=0)
    return centred


def _start(unit: NDArray[np.float32], seed: int) -> Reals:
    plane = principal_plane(unit)
    plane = plane / max(float(plane[:, 0].std()), 1e-12)
    noise = np.random.default_rng(seed).normal(size=plane.shape)
    start: Reals = START_DEVIATION * (plane + 1e-2 * noise)
    return start


class _Edges:
    """Symmetric graph of nearest neighbours, with weights that sum to one."""

    def __init__(self, nearest: NDArray[np.int64]) -> None:
        n, k = nearest.shape
        indptr = np.arange(0, n * k + 1, k)
        graph = sparse.csr_array((np.full(n * k, 0.5 / (n * k)), nearest.ravel(), indptr), shape=(n, n))
        self.graph = sparse.csr_array(graph + graph.T)
        self.rows = np.repeat(np.arange(n), np.diff(self.graph.indptr))

    def pulls(self, points: Reals) -> Reals:
        """Return the attraction of each point, (n, 2).

        It is the sum over j of w_ij (y_i - y_j) / (1 + |y_i - y_j|^2).
        """
        x, y = np.ascontiguousarray(points.T)
        columns = self.graph.indices
        apart = (x[self.rows] - x[columns]) ** 2 + (y[self.rows] - y[columns]) ** 2
        weights = self.graph.data / (1 + apart)
        weighted = sparse.csr_array((weights, columns, self.graph.indptr), shape=self.graph.shape)
        sums = np.bincount(self.rows, weights, minlength=points.shape[0])
        pulls: Reals = sums[:, None] * points - weighted @ points
        return pulls
