"""Exact top-N lists from tiles of scores, without a users x items matrix.

Partitioning every full row costs several times the matrix product. Here each row has a shortlist, and a floor below its
n-th best score so far: a score is compared with the floor once, and only the few candidates are copied. The first
floors come from group_maxima.py, later ones from the shortlists. Plain numpy is so several times faster than
`torch.topk` on full rows; there is no second implementation.

Where scores are dot products, items come by descending norm (norm_order.py). A score is at most the product of two
norms, so that a row is done when this bound falls to its floor. Tiles then leave the row out, and the products of a
block shrink with its rows. Denied and seen items are excluded before floors rise.

A float32 product is not reproducible to the last bit: it depends on the place of a row in its block and on the
processor, and equal vectors get unequal scores. Scores of tiles are therefore approximate, with a margin. Where a
scorer offers `refine`, its exact scores decide every order that the margin leaves open: lists are equal for any
blocking, and equal scores are ties.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.candidate_keys import EMPTY_KEY, pack_keys, unpack_items, unpack_scores
from recsys_spark.ranking.group_maxima import lower_bound
from recsys_spark.ranking.scores import Scores, Tile

__all__ = ["TopN", "top_n"]


class TopN(NamedTuple):
    """Lists of a block of rows; only the first `length[row]` places of a row are filled."""

    item_idx: NDArray[np.int32]  # (n_rows, n)
    score: NDArray[np.float32]  # (n_rows, n)
    length: NDArray[np.int64]  # (n_rows,)


def top_n(scores: Scores, n: int, exact_scores: bool = True) -> TopN:
    """Return the n best items of each row, by descending score, then ascending item_idx.

    With `exact_scores` False the order is exact and the scores may be those of tiles, which saves time. A score of
    minus infinity excludes an item, so that a list may be shorter than n. Memory beyond the tile is about n_rows x
    (3 n + tile width) x 8 bytes. Raises TrainingError on a NaN score.
    """
    shortlist = _Shortlist(scores, n, exact_scores)
    for tile in scores.tiles:
        shortlist.update(tile)
    return shortlist.ranked()


class _Shortlist:
    """Candidates of each row as unordered keys, and the floor for further ones."""

    def __init__(self, scores: Scores, n: int, exact_scores: bool) -> None:
        self.n = n
        self.exact_scores = exact_scores
        self.limit = 3 * n
        self.refine = scores.refine
        self.order = scores.order
        self.error = np.broadcast_to(np.float32(scores.error), scores.n_rows)
        self.keys = np.full((scores.n_rows, self.limit), EMPTY_KEY)
        self.length = np.zeros(scores.n_rows, dtype=np.int64)
        self.floor = np.full(scores.n_rows, -np.inf, np.float32) if scores.floors is None else scores.floors
        # The rows of the last tile.
        self.rows = np.arange(scores.n_rows)
        self.seen = 0
        self.seen_at_rise = 0

    def update(self, tile: Tile) -> None:
        """Add the items of a tile that may be among the best."""
        if tile.rows is not None:
            self.rows = tile.rows
        width = tile.scores.shape[1]
        self.seen += width
        if not self.seen_at_rise:
            self._raise_floors(self.rows, lower_bound(tile.scores, self.n))
        # The negated comparison keeps NaN among the candidates, where it is detected.
        losers = tile.scores <= self.floor[self.rows, None]
        flat = np.flatnonzero(np.logical_not(losers, out=losers))
        score, place = tile.scores.ravel().take(flat), flat // width
        _check_no_nan(score)
        item_idx = flat - place * width + tile.first
        if self.order is not None:
            item_idx = self.order.item_idx.take(item_idx)
        self._append(self.rows.take(place), pack_keys(score, item_idx))
        # Twice as many scores halve the share that passes; raising floors more often costs more than it saves.
        if self.seen >= 2 * self.seen_at_rise or self.length.max(initial=0) > self.limit:
            self._prune()

    def ranked(self) -> TopN:
        """Return the lists of all rows."""
        keys = self._best_keys(np.arange(self.length.size))
        return TopN(unpack_items(keys), unpack_scores(keys), np.minimum(self.length, self.n))

    def _raise_floors(self, rows: NDArray[np.intp], score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raise the floors of rows, and return lower bounds of them.

        The n-th best score of each row is at least `score`.
        """
        # The largest value that cannot belong to the n best.
        bound: NDArray[np.float32] = np.nextafter(score - 2 * self.error[rows], np.float32(-np.inf))
        # The floor of a settled row may be higher.
        self.floor[rows] = np.maximum(self.floor[rows], bound)
        self.seen_at_rise = self.seen
        return bound

    def _append(self, rows: NDArray[np.intp], keys: NDArray[np.int64]) -> None:
        """Append candidates, by ascending row, to those of their rows."""
        counts = np.bincount(rows, minlength=self.length.size)
        self._reserve(int((self.length + counts).max()))
        starts = np.cumsum(counts) - counts
        offsets = np.arange(self.length.size) * self.keys.shape[1] + self.length - starts
        self.keys.ravel()[np.arange(rows.size) + np.repeat(offsets, counts)] = keys
        self.length += counts

    def _reserve(self, width: int) -> None:
        missing = width - self.keys.shape[1]
        if missing > 0:
            self.keys = np.pad(self.keys, ((0, 0), (0, missing)), constant_values=EMPTY_KEY)

    def _prune(self) -> None:
        """Raise floors to the n-th best candidates, and drop candidates below."""
        rows = self.rows
        width = max(int(self.length[rows].max(initial=0)), self.n)
        self._reserve(width)
        keys = self.keys[rows, :width]
        keys.partition(self.n - 1, axis=1)
        bound = self._raise_floors(rows, unpack_scores(keys[:, self.n - 1]))
        kept = np.flatnonzero(keys < pack_keys(bound, np.zeros(rows.size))[:, None])
        self.keys[rows, :width] = EMPTY_KEY
        self.length[rows] = 0
        self._append(rows.take(kept // width), keys.ravel().take(kept))
        crowded = np.flatnonzero(self.length > self.limit)
        if crowded.size:
            self._settle(crowded)

    def _settle(self, rows: NDArray[np.intp]) -> None:
        """Reduce rows with many close candidates to their n best, to limit memory."""
        best = self._best_keys(rows)
        # The last score may be that of its tile, so that both sides have an error.
        self.floor[rows] = unpack_scores(best[:, -1]) - 2 * self.error[rows]
        if self.order is not None:
            # Items seen later may have a lower item_idx and win a tie.
            self.floor[rows] = np.nextafter(self.floor[rows], np.float32(-np.inf))
        self.keys[rows] = EMPTY_KEY
        self.keys[rows, : self.n] = best
        self.length[rows] = self.n

    def _best_keys(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return keys of the n best of the rows, (rows, n), by exact scores."""
        width = max(int(self.length[rows].max(initial=0)), self.n)
        self._reserve(width)
        keys = np.sort(self.keys[rows, :width], axis=1)
        if self.refine is not None:
            self._refine(rows, keys)
            changed = np.flatnonzero((keys[:, 1:] < keys[:, :-1]).any(axis=1))
            keys[changed] = np.sort(keys[changed], axis=1)
        return keys[:, : self.n]

    def _needs_exact(self, rows: NDArray[np.intp], score: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return True for places of descending scores, (rows, width), that need an exact score.

        These are the places of the list, unless only the order counts, and places whose order is open: scores closer
        than the errors of both. Runs of close neighbours are sorted by exact scores, all others by those of tiles.
        """
        needed = np.zeros(score.shape, np.bool_)
        with np.errstate(invalid="ignore"):
            close = score[:, :-1] - score[:, 1:] <= 2 * self.error[rows, None]
        needed[:, :-1] |= close
        needed[:, 1:] |= close
        if self.exact_scores:
            needed[:, : self.n] = True
        return needed & (np.arange(score.shape[1]) < self.length[rows, None])

    def _refine(self, rows: NDArray[np.intp], keys: NDArray[np.int64]) -> None:
        """Put exact scores into ascending keys where they are needed."""
        assert self.refine is not None
        row, place = np.nonzero(self._needs_exact(rows, unpack_scores(keys)))
        item_idx = unpack_items(keys[row, place])
        exact = self.refine(rows[row], item_idx)
        _check_no_nan(exact)
        keys[row, place] = pack_keys(exact, item_idx)


def _check_no_nan(score: NDArray[np.float32]) -> None:
    if np.isnan(score).any():
        raise TrainingError(
            "scores of the model are not numbers: train it again with smaller steps or stronger regularisation "
            "(for ALS a larger models.als.reg_param)"
        )
