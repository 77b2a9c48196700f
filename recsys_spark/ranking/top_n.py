"""Exact top-N over scores that arrive tile by tile, so that no users x items matrix exists anywhere.

Partitioning every full row costs several times the matrix product that made it. Here a row keeps a shortlist
and the score that a newcomer has to beat (group_bests.py): one maximum and one comparison a score, and only the few
winners are moved. That makes plain numpy several times faster than `torch.topk` on full rows, so there is no
second code path.

A float32 product is not reproducible to the last bit: it depends on where a row lies in its block and on the
processor, and equal vectors get unequal scores. So tiles only propose, with a margin, and where a scorer
offers `refine` its scores decide wherever tiles leave it open: the lists are then the same for any blocking, and
ties are ties.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.errors import TrainingError
from recsys_spark.ranking.group_bests import GroupBests
from recsys_spark.ranking.selection import descending, places_of

__all__ = ["Scores", "TopN", "exclude_items", "exclude_pairs", "top_n"]

Tile = tuple[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Scores:
    """Scores of a block of rows (users, or items whose neighbours are sought) for every item.

    `tiles` yields (first item_idx, scores (n_rows, width)) by ascending item; an array is overwritten by the
    next one and may be changed in place. `refine(rows, item_idx)` gives the scores that decide for single
    pairs, float32 of shape (n,); a tile may differ from it by at most `error`, (n_rows,). Without `refine`
    the tiles decide.
    """

    n_rows: int
    tiles: Iterable[Tile]
    refine: Callable[[NDArray[np.intp], NDArray[np.int32]], NDArray[np.float32]] | None = None
    error: NDArray[np.float32] | float = 0.0


class TopN(NamedTuple):
    """Lists of a block: only the first `length[row]` places of a row count."""

    item_idx: NDArray[np.int32]  # (n_rows, n)
    score: NDArray[np.float32]  # (n_rows, n)
    length: NDArray[np.int64]  # (n_rows,)


def top_n(scores: Scores, n: int, exact_scores: bool = True) -> TopN:
    """The n best items of each row: score descending, then item_idx ascending, also at the n-th place.

    Where only the order counts, `exact_scores` False saves time: scores may then be those of the tiles.

    A score of minus infinity means excluded: such an item never appears, so a list may be shorter than n.
    Memory beyond the tile is about n_rows x (3 n + tile width) x 8 bytes. Raises TrainingError on a score
    that is not a number.
    """
    shortlist = _Shortlist(scores, n, exact_scores)
    for first, tile in scores.tiles:
        shortlist.offer(first, tile)
    return shortlist.ranked()


def exclude_items(scores: Scores, allowed: NDArray[np.bool_]) -> Scores:
    """Leaves out the items whose place in `allowed`, (n_items,), is False."""
    penalty = np.where(allowed, np.float32(0), np.float32(-np.inf))

    def tiles() -> Iterator[Tile]:
        for first, tile in scores.tiles:
            part = penalty[first : first + tile.shape[1]]
            yield first, np.add(tile, part, out=tile) if part.any() else tile

    return replace(scores, tiles=tiles())


def exclude_pairs(scores: Scores, rows: NDArray[np.integer[Any]], item_idx: NDArray[np.integer[Any]]) -> Scores:
    """Leaves out single (row, item) pairs, such as what a user has played; order and repetitions do not
    matter.
    """
    # One sort of packed pairs is many times faster than an argsort by item.
    packed = np.sort((item_idx.astype(np.int64) << 32) | rows.astype(np.int64))
    items, rows_by_item = packed >> 32, packed & 0xFFFFFFFF

    def tiles() -> Iterator[Tile]:
        for first, tile in scores.tiles:
            start, stop = np.searchsorted(items, (first, first + tile.shape[1]))
            tile[rows_by_item[start:stop], items[start:stop] - first] = -np.inf
            yield first, tile

    return replace(scores, tiles=tiles())


class _Shortlist:
    """The candidates of each row in ascending item_idx, and the score that a newcomer must exceed."""

    def __init__(self, scores: Scores, n: int, exact_scores: bool) -> None:
        self.n = n
        self.exact_scores = exact_scores
        self.limit = 3 * n
        self.refine = scores.refine
        self.error = np.broadcast_to(np.float32(scores.error), scores.n_rows)
        self.bests = GroupBests(scores.n_rows, n)
        self.score = np.full((scores.n_rows, self.limit), -np.inf, dtype=np.float32)
        self.item_idx = np.zeros((scores.n_rows, self.limit), dtype=np.int32)
        self.length = np.zeros(scores.n_rows, dtype=np.int64)
        self.floor = np.full(scores.n_rows, -np.inf, dtype=np.float32)
        self.bound = self.floor.copy()
        self.seen = 0
        self.seen_at_rise = 0

    def offer(self, first: int, tile: NDArray[np.float32]) -> None:
        """Takes up every score of the tile, (n_rows, width), that may belong to its row's best."""
        width = tile.shape[1]
        self.bests.offer(first, tile)
        self.seen += width
        # Twice as many scores halve the share that passes; floors that rise more often cost more than they save.
        if self.seen >= 2 * self.seen_at_rise:
            self._raise_floors()
        # Asking what fails, and turning it round, lets what is not a number through to be seen.
        losers = tile <= self.floor[:, None]
        places = places_of(np.logical_not(losers, out=losers))
        if not places.size:
            return
        rows = places // width
        score = tile.ravel().take(places)
        _refuse_nan(score)
        self._append(rows, (places - rows * width + first).astype(np.int32), score)
        if self.length.max() > self.limit:
            self._prune()

    def ranked(self) -> TopN:
        self._prune()
        rows = np.arange(self.length.size)
        places, score = self._decide(rows)
        return TopN(np.take_along_axis(self.item_idx, places, axis=1), score, np.minimum(self.length, self.n))

    def _raise_floors(self) -> None:
        """Brings bounds and floors up to what was seen so far."""
        if self.seen == self.seen_at_rise:
            return
        # The largest value that cannot belong to the n best.
        self.bound = np.nextafter(self.bests.bound() - 2 * self.error, np.float32(-np.inf))
        # A row that was decided may ask for more: of equal scores only the items seen first count.
        np.maximum(self.floor, self.bound, out=self.floor)
        self.seen_at_rise = self.seen

    def _append(self, rows: NDArray[np.intp], item_idx: NDArray[np.int32], score: NDArray[np.float32]) -> None:
        """Puts candidates, by ascending row and within it by ascending item, behind those of their rows."""
        counts = np.bincount(rows, minlength=self.length.size)
        self._reserve(int((self.length + counts).max()))
        starts = np.cumsum(counts) - counts
        offsets = np.arange(self.length.size) * self.score.shape[1] + self.length - starts
        places = np.arange(rows.size) + np.repeat(offsets, counts)
        self.score.ravel()[places] = score
        self.item_idx.ravel()[places] = item_idx
        self.length += counts

    def _reserve(self, width: int) -> None:
        missing = width - self.score.shape[1]
        if missing > 0:
            self.score = np.pad(self.score, ((0, 0), (0, missing)), constant_values=-np.inf)
            self.item_idx = np.pad(self.item_idx, ((0, 0), (0, missing)))

    def _prune(self) -> None:
        """Raises the floors, and drops what no longer reaches them."""
        self._raise_floors()
        rows = np.arange(self.length.size)
        width = int(self.length.max(initial=0))
        score, item_idx = self.score[:, :width].copy(), self.item_idx[:, :width].copy()
        self._replace(rows, places_of(score > self.bound[:, None]), score, item_idx)
        crowded = rows[self.length > self.limit]
        if crowded.size:
            self._settle(crowded)

    def _settle(self, rows: NDArray[np.intp]) -> None:
        """Decides rows whose candidates are too close to be pruned, so that ties cannot fill the memory."""
        places, decided = self._decide(rows)
        # The last one may have been left to its tile, so both sides can be off.
        self.floor[rows] = decided[:, -1] - 2 * self.error[rows]
        width = int(self.length[rows].max())
        kept = np.sort(places, axis=1) + np.arange(rows.size)[:, None] * width
        self._replace(rows, kept.ravel(), self.score[rows, :width], self.item_idx[rows, :width])

    def _replace(
        self,
        rows: NDArray[np.intp],
        kept: NDArray[np.intp],
        score: NDArray[np.float32],
        item_idx: NDArray[np.int32],
    ) -> None:
        """Keeps of the rows only the flat places `kept` of `score` and `item_idx`, (rows, width)."""
        width = score.shape[1]
        self.score[rows, :width] = -np.inf
        self.length[rows] = 0
        self._append(rows[kept // width], item_idx.ravel().take(kept), score.ravel().take(kept))

    def _decide(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Places and deciding scores of the n best of the rows, best first, both (rows, n)."""
        width = max(int(self.length[rows].max(initial=0)), self.n)
        self._reserve(width)
        score = self.score[rows, :width]
        order = descending(score)
        if self.refine is not None:
            self._refine(rows, score, self._doubtful(rows, np.take_along_axis(score, order, axis=1)), order)
            order = descending(score)
        return order[:, : self.n], np.take_along_axis(score, order[:, : self.n], axis=1)

    def _doubtful(self, rows: NDArray[np.intp], score: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which places of descending scores, (rows, width), have a deciding score that is asked for: those of the list
        unless the order is all that counts, and those whose order tiles leave open.

        Of two that are further apart than both can be off, the order is known. So runs of close neighbours may be
        sorted by deciding scores, and all else by the tiles' beside them.
        """
        doubtful = np.zeros(score.shape, np.bool_)
        with np.errstate(invalid="ignore"):
            close = score[:, :-1] - score[:, 1:] <= 2 * self.error[rows, None]
        doubtful[:, :-1] |= close
        doubtful[:, 1:] |= close
        if self.exact_scores:
            doubtful[:, : self.n] = True
        return doubtful & (np.arange(score.shape[1]) < self.length[rows, None])

    def _refine(
        self, rows: NDArray[np.intp], score: NDArray[np.float32], doubtful: NDArray[np.bool_], order: NDArray[np.intp]
    ) -> None:
        """Puts deciding scores into `score` at the doubtful places of `order`."""
        assert self.refine is not None
        block_row, place = np.nonzero(doubtful)
        place = order[block_row, place]
        row = rows[block_row]
        decided = self.refine(row, self.item_idx[row, place])
        _refuse_nan(decided)
        score[block_row, place] = decided


def _refuse_nan(score: NDArray[np.float32]) -> None:
    if np.isnan(score).any():
        raise TrainingError(
            "The model gives scores that are not numbers. Train it again with smaller steps or stronger "
            "regularisation (for ALS a larger models.als.reg_param)."
        )
