"""Vectors in the plane: near ones near each other, by t-SNE on the graph of nearest neighbours.

Neighbours attract each other equally, as calibrated weights make next to no difference (Boehm et al. 2022), and all
points repel each other (repulsion.py). The start is the plane of the principal components, and the first steps
exaggerate attraction, so that the picture keeps the large shape and not only the small one (Kobak and Berens 2019).
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
    """(n, 2): along the first two principal components, the larger first; zeros for what is lacking of them."""
    exact = unit.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    # A component may point either way.
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    plane = np.zeros((unit.shape[0], 2))
    plane[:, : axes.shape[1]] = centred @ axes
    return plane


def lay_out(unit: NDArray[np.float32], nearest: NDArray[np.int64], seed: int) -> Reals:
    """(n, 2): points for n vectors of unit length, whose nearest are (n, k); the first 15 of them are used.

    Memory is about 1 KB a vector and 50 MB for the grid. `seed` parts vectors that are alike.
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
    """Who is a neighbour of whom, either way, with weights that sum up to one."""

    def __init__(self, nearest: NDArray[np.int64]) -> None:
        n, k = nearest.shape
        indptr = np.arange(0, n * k + 1, k)
        graph = sparse.csr_array((np.full(n * k, 0.5 / (n * k)), nearest.ravel(), indptr), shape=(n, n))
        self.graph = sparse.csr_array(graph + graph.T)
        self.rows = np.repeat(np.arange(n), np.diff(self.graph.indptr))

    def pulls(self, points: Reals) -> Reals:
        """The sums over j of w_ij (y_i - y_j) / (1 + |y_i - y_j|^2), (n, 2)."""
        x, y = np.ascontiguousarray(points.T)
        columns = self.graph.indices
        apart = (x[self.rows] - x[columns]) ** 2 + (y[self.rows] - y[columns]) ** 2
        weights = self.graph.data / (1 + apart)
        weighted = sparse.csr_array((weights, columns, self.graph.indptr), shape=self.graph.shape)
        sums = np.bincount(self.rows, weights, minlength=points.shape[0])
        pulls: Reals = sums[:, None] * points - weighted @ points
        return pulls
