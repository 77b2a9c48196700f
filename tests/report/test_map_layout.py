"""Tests of the layout on simple shapes, and of its parts against direct sums."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_spark.report.map_clusters import k_means
from recsys_spark.report.map_layout import lay_out, principal_plane
from recsys_spark.report.map_neighbours import nearest, neighbour_preservation, random_preservation, unit_length
from recsys_spark.report.map_repulsion import repulsion


def blobs(n_clusters: int, each: int, rank: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return unit vectors in tight clusters, shuffled, and the cluster of each."""
    rng = np.random.default_rng(3)
    cluster = rng.permutation(np.repeat(np.arange(n_clusters), each))
    vectors = rng.normal(size=(n_clusters, rank))[cluster] + 0.15 * rng.normal(size=(cluster.size, rank))
    return unit_length(vectors.astype(np.float32)), cluster


def coil(n: int) -> NDArray[np.float32]:
    """Return vectors along a closed curve in 12 dimensions, which no plane contains."""
    angle = 2 * np.pi * np.arange(n) / n
    waves = [wave(turns * angle) for turns in range(1, 7) for wave in (np.cos, np.sin)]
    return unit_length(np.stack(waves, axis=1).astype(np.float32))


@pytest.mark.parametrize("n", [3, 40, 700])
def test_the_nearest_are_those_of_all_cosines(n: int) -> None:
    unit = unit_length(np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32))
    cosines = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1)[:, : min(5, n - 1)]
    assert (nearest(unit, 5) == expected).mean() > 0.999


def test_equal_neighbours_come_by_place() -> None:
    unit = unit_length(np.array([[0, 1], [1, 0], [2, 0], [3, 0], [0, 5]], dtype=np.float32))
    assert nearest(unit, 2).tolist()[1:4] == [[2, 3], [1, 3], [1, 2]]


@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0, 300.0])
def test_repulsion_is_the_sum_over_all_pairs(scale: float) -> None:
    points = np.random.default_rng(1).normal(size=(400, 2)) * scale
    apart = points[:, None] - points[None]
    closeness = 1 / (1 + (apart**2).sum(axis=2))
    pushes, total = repulsion(points)
    expected = (apart * closeness[:, :, None] ** 2).sum(axis=1)
    error = np.linalg.norm(pushes - expected) / np.linalg.norm(expected)
    # Far beyond what layouts reach the grid is too coarse for points that nearly touch.
    assert error < (0.03 if scale < 100 else 1.0)
    assert total == pytest.approx(closeness.sum() - 400, rel=0.01 if scale < 100 else 0.3)
    np.testing.assert_allclose(pushes.sum(axis=0), 0, atol=1e-6)


def test_the_principal_plane_is_that_of_the_singular_vectors() -> None:
    unit = unit_length(np.random.default_rng(2).normal(size=(60, 5)).astype(np.float32))
    centred = unit - unit.mean(axis=0)
    _, sizes, _ = np.linalg.svd(centred.astype(np.float64))
    np.testing.assert_allclose(np.linalg.norm(principal_plane(unit), axis=0), sizes[:2], rtol=1e-5)


def test_clusters_that_are_apart_stay_apart() -> None:
    unit, cluster = blobs(8, 40, 16)
    points = lay_out(unit, nearest(unit, 15), seed=1)
    centres = np.stack([points[cluster == number].mean(axis=0) for number in range(8)])
    closest = np.linalg.norm(points[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (closest == cluster).all()
    within = np.linalg.norm(points - centres[cluster], axis=1).max()
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[~np.eye(8, dtype=bool)].min()
    assert between > within


def test_a_curve_in_12_dimensions_keeps_more_than_twice_the_neighbours_of_its_principal_plane() -> None:
    unit = coil(900)
    near = nearest(unit, 15)
    kept = neighbour_preservation(near[:, :10], lay_out(unit, near, seed=1))
    plain = neighbour_preservation(near[:, :10], principal_plane(unit))
    assert kept > 0.8 and kept > 2 * plain and plain > 5 * random_preservation(900, 10)


def test_attraction_and_repulsion_balance_at_the_end() -> None:
    """The gradient of t-SNE, written out over all pairs, nearly vanishes."""
    unit = coil(300)
    near = nearest(unit, 15)
    points = lay_out(unit, near, seed=1)
    weights = np.zeros((300, 300))
    np.put_along_axis(weights, near, 1 / (2 * 300 * 15), axis=1)
    apart = points[:, None] - points[None]
    closeness = 1 / (1 + (apart**2).sum(axis=2))
    np.fill_diagonal(closeness, 0)
    pulls = ((weights + weights.T) * closeness)[:, :, None] * apart
    pushes = (closeness**2 / closeness.sum())[:, :, None] * apart
    rest = np.linalg.norm(pulls.sum(axis=1) - pushes.sum(axis=1))
    assert rest < 0.1 * np.linalg.norm(pulls.sum(axis=1))


def test_the_same_seed_gives_the_same_layout() -> None:
    unit, _ = blobs(3, 30, 8)
    near = nearest(unit, 15)
    first, second, other = (lay_out(unit, near, seed) for seed in (1, 1, 2))
    assert (first == second).all() and (first != other).any()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_few_items_have_places_of_their_own(n: int) -> None:
    unit = unit_length(np.random.default_rng(5).normal(size=(n, 4)).astype(np.float32))
    points = lay_out(unit, nearest(unit, 15), seed=1)
    assert points.shape == (n, 2) and np.isfinite(points).all()
    assert len({tuple(point) for point in points.round(9).tolist()}) == n


def test_equal_vectors_get_finite_points() -> None:
    unit = unit_length(np.ones((50, 1), dtype=np.float32))
    assert np.isfinite(lay_out(unit, nearest(unit, 15), seed=1)).all()


def test_neighbour_preservation_by_hand() -> None:
    points = np.array([[0, 0], [1, 0], [3, 0], [3.5, 0]])
    assert neighbour_preservation(np.array([[1], [0], [3], [2]]), points) == 1
    assert neighbour_preservation(np.array([[1], [2], [3], [0]]), points) == 0.5
    assert neighbour_preservation(np.array([[1, 2], [0, 2], [3, 0], [1, 2]]), points) == 7 / 8
    same_place = np.array([[0, 0], [0, 0], [3, 0], [3, 0]])
    assert neighbour_preservation(np.array([[1], [0], [3], [2]]), same_place) == 1
    assert random_preservation(101, 10) == 0.1


def test_k_means_finds_clusters_that_are_apart_and_numbers_them_as_they_come() -> None:
    unit, cluster = blobs(6, 30, 16)
    found = k_means(unit, 6, seed=1)
    assert len(set(zip(found.tolist(), cluster.tolist(), strict=True))) == 6
    first = {number: place for place, number in reversed(list(enumerate(found.tolist())))}
    assert sorted(first, key=lambda number: first[number]) == list(range(6))


def test_fewer_different_vectors_than_clusters() -> None:
    unit = unit_length(np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32))
    assert k_means(unit, 3, seed=1).tolist() == [0, 0, 1, 1]


def test_a_row_alone_in_its_cluster_joins_the_nearest_cluster() -> None:
    """Rows 0 to 5 are two groups of three directions; row 6 lies apart, 30 degrees from the second group."""
    degrees = np.deg2rad([0, 1, 2, 90, 91, 92, 122])
    unit = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    for seed in range(5):
        assert k_means(unit, 3, seed).tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert k_means(unit[[0, 3, 6]], 3, 0).tolist() == [0, 0, 0], "rows that are all alone are one cluster"
