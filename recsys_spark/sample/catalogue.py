"""Catalogue of items: the items of each taste group with a Zipf-like popularity."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.randomness import FloatArray, IntArray, stream
from recsys_spark.sample.tastes import GROUP_SHARES

__all__ = ["Catalogue", "build_catalogue"]

# Zipf-Mandelbrot: popularity of the item at rank r is 1 / (r + FLATTENING).
FLATTENING = 20.0


@dataclass(frozen=True)
class Catalogue:
    """Items by group, for I items.

    groups: (I,) group of each item; popularity: (I,) shares that sum to 1; order: (I,) item numbers
    sorted by group; bounds: (I,) cumulated shares in that order, from g to g + 1 for group g.
    """

    groups: IntArray
    popularity: FloatArray
    order: IntArray
    bounds: FloatArray

    def draw(self, rng: np.random.Generator, groups: IntArray) -> IntArray:
        """Draw an item of each of the groups (n,), by popularity within the group."""
        places = np.searchsorted(self.bounds, groups + rng.random(len(groups)), side="right")
        items: IntArray = self.order[np.minimum(places, len(self.order) - 1)]
        return items


@lru_cache(maxsize=2)
def build_catalogue(plan: SamplePlan) -> Catalogue:
    """Return the items of a plan; every group has some."""
    rng = stream(plan.seed, "shelves")
    middles = (np.arange(plan.items) + 0.5) / plan.items
    groups = rng.permutation(np.searchsorted(np.cumsum(GROUP_SHARES), middles)).astype(np.int64)
    popularity = 1.0 / (rng.permutation(plan.items) + FLATTENING)
    order = np.argsort(groups, kind="stable")
    totals = np.bincount(groups, weights=popularity)
    within = popularity / totals[groups]
    cumulated = np.cumsum(within[order])
    starts = np.searchsorted(groups[order], np.arange(len(totals)))
    before = np.r_[0.0, cumulated][starts]
    return Catalogue(
        groups=groups,
        popularity=popularity / popularity.sum(),
        order=order,
        bounds=cumulated - before[groups[order]] + groups[order],
    )
