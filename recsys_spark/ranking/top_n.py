"""Exact top-N lists from tiles of scores, without a users x items matrix.

Partitioning every full row costs several times the matrix product. Here each row has a shortlist and a lower bound of
its n-th best score (group_maxima.py): one maximum a score, one comparison for several scores, and only the few
candidates are copied. Plain numpy is so several times faster than `torch.topk` on full rows; there is no second
implementation.

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
from recsys_spark.ranking.group_maxima import GroupMaxima
from recsys_spark.ranking.scores import Scores, Tile

__all__ = ["TopN", "top_n"]

# A tile is compared by the maximum of PARTS scores: a quarter of the comparisons, for few additional candidates.
PARTS = 4
# Where more of the maxima pass than one in SPARSE, comparing all scores costs less than gathering those of parts.
SPARSE = 8


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
        self.error = np.broadcast_to(np.float32(scores.error), scores.n_rows)
        self.maxima = GroupMaxima(scores.n_rows, n)
        self.keys = np.full((scores.n_rows, self.limit), EMPTY_KEY)
        self.length = np.zeros(scores.n_rows, dtype=np.int64)
        self.order = scores.order
        self.rows = np.arange(scores.n_rows)
        self.bound = np.full(scores.n_rows, -np.inf, dtype=np.float32)
        self.floor = self.bound.copy() if scores.floors is None else scores.floors
        self.seen = 0
        self.seen_at_rise = 0

    def update(self, tile: Tile) -> None:
        """Add the items of a tile that may be among the best."""
        self._drop_rows(tile.rows)
        width = tile.scores.shape[1]
        best = _best_of_parts(tile.scores, max(-(-width // PARTS), min(width, self.maxima.n_groups)))
        self.maxima.update(tile.first, best)
        self.seen += width
        # Twice as many scores halve the share that passes; raising floors more often costs more than it saves.
        if self.seen >= 2 * self.seen_at_rise:
            self._raise_floors()
        floor = self.floor[self.rows, None]
        passed = np.flatnonzero(_not_below(best, floor))
        if passed.size < best.size // SPARSE:
            row, columns, score = _scores_of_parts(tile.scores, best.shape[1], passed)
            flat = np.flatnonzero(_not_below(score, floor.ravel()[row, None]))
            row, column, score = row[flat // score.shape[1]], columns.ravel()[flat], score.ravel()[flat]
        else:
            flat = np.flatnonzero(_not_below(tile.scores, floor))
            row, score = flat // width, tile.scores.ravel()[flat]
            column = flat - row * width
        self._add(tile.first, row, column, score)
        if self.length.max() > self.limit:
            self._prune()

    def _drop_rows(self, rows: NDArray[np.intp] | None) -> None:
        """Stop raising floors of rows that the tiles leave out from now on."""
        if rows is not None and rows.size < self.rows.size:
            self.maxima.keep(np.searchsorted(self.rows, rows))
            self.rows = rows

    def _add(
        self, first: int, row: NDArray[np.intp], column: NDArray[np.intp], score: NDArray[np.float32]
    ) -> None:
        """Add candidates of a tile, by ascending row."""
        _check_no_nan(score)
        items = column + first if self.order is None else self.order.item_idx.take(column + first)
        self._append(self.rows.take(row), pack_keys(score, items))

    def ranked(self) -> TopN:
        """Return the lists of all rows."""
        keys = self._best_keys(np.arange(self.length.size))
        return TopN(unpack_items(keys), unpack_scores(keys), np.minimum(self.length, self.n))

    def _raise_floors(self) -> None:
        """Raise bounds and floors by the scores seen so far."""
        if self.seen == self.seen_at_rise:
            return
        # The largest value that cannot belong to the n best.
        rows = self.rows
        self.bound[rows] = np.nextafter(self.maxima.lower_bound() - 2 * self.error[rows], np.float32(-np.inf))
        # The floor of a settled row may be higher.
        self.floor[rows] = np.maximum(self.floor[rows], self.bound[rows])
        self.seen_at_rise = self.seen

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
        """Raise the floors and drop candidates below the bounds."""
        self._raise_floors()
        width = int(self.length.max(initial=0))
        kept = np.flatnonzero(self.keys[:, :width] < pack_keys(self.bound, np.zeros(self.bound.size))[:, None])
        keys = self.keys[:, :width].ravel().take(kept)
        self.keys[:, :width] = EMPTY_KEY
        self.length[:] = 0
        self._append(kept // width, keys)
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


def _best_of_parts(tile: NDArray[np.float32], part: int) -> NDArray[np.float32]:
    """Return the best score of each place over the parts of a tile, (n_rows, part)."""
    n_rows, width = tile.shape
    whole = width // part
    # One reduction over the tile takes a third less time than a maximum of every two parts.
    best: NDArray[np.float32] = tile[:, : whole * part].reshape(n_rows, whole, part).max(axis=1)
    if width % part:
        rest = tile[:, whole * part :]
        beside = best[:, : rest.shape[1]]
        np.maximum(beside, rest, out=beside)
    return best


def _scores_of_parts(
    tile: NDArray[np.float32], part: int, passed: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return rows (m,), columns and scores (m, parts) of places `passed` in the best of all parts of a tile."""
    width = tile.shape[1]
    rows = passed // part
    columns = (passed - rows * part)[:, None] + np.arange(0, width, part)
    scores = tile.ravel().take(rows[:, None] * width + columns, mode="clip")
    if width % part:
        scores[columns >= width] = -np.inf
    return rows, columns, scores


def _not_below(scores: NDArray[np.float32], floor: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return True for scores above the floors, and for NaN, so that it is detected."""
    losers = scores <= floor
    return np.logical_not(losers, out=losers)


def _check_no_nan(score: NDArray[np.float32]) -> None:
    if np.isnan(score).any():
        raise TrainingError(
            "scores of the model are not numbers: train it again with smaller steps or stronger regularisation "
            "(for ALS a larger models.als.reg_param)"
        )
