"""Exact top-N over scores that arrive tile by tile, so that no users x items matrix exists anywhere.

Partitioning every full row costs several times the matrix product that made it. Here a row keeps a shortlist and the
score that a newcomer has to beat (group_bests.py): one maximum a score, one comparison for several of them, and only
the few winners are moved. That makes plain numpy several times faster than `torch.topk` on full rows, so there is no
second code path.

A float32 product is not reproducible to the last bit: it depends on where a row lies in its block and on the
processor, and equal vectors get unequal scores. So tiles only propose, with a margin, and where a scorer
offers `refine` its scores decide wherever tiles leave it open: the lists are then the same for any blocking, and
ties are ties.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.candidate_keys import NOTHING, items_of, keys_of, scores_of
from recsys_spark.ranking.group_bests import GroupBests
from recsys_spark.ranking.scores import Scores

__all__ = ["TopN", "top_n"]

# A tile is scanned as the best of so many parts: a quarter of the comparisons, and few candidates too many.
PARTS = 4


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


class _Shortlist:
    """The candidates of each row as keys in any order, and the score that a newcomer must exceed."""

    def __init__(self, scores: Scores, n: int, exact_scores: bool) -> None:
        self.n = n
        self.exact_scores = exact_scores
        self.limit = 3 * n
        self.refine = scores.refine
        self.error = np.broadcast_to(np.float32(scores.error), scores.n_rows)
        self.bests = GroupBests(scores.n_rows, n)
        self.keys = np.full((scores.n_rows, self.limit), NOTHING)
        self.length = np.zeros(scores.n_rows, dtype=np.int64)
        self.floor = np.full(scores.n_rows, -np.inf, dtype=np.float32)
        self.bound = self.floor.copy()
        self.seen = 0
        self.seen_at_rise = 0

    def offer(self, first: int, tile: NDArray[np.float32]) -> None:
        """Takes up every score of the tile, (n_rows, width), that may belong to its row's best."""
        best = _best_of_parts(tile, -(-tile.shape[1] // PARTS))
        self.bests.offer(first, best)
        self.seen += tile.shape[1]
        # Twice as many scores halve the share that passes; floors that rise more often cost more than they save.
        if self.seen >= 2 * self.seen_at_rise:
            self._raise_floors()
        # Asking what fails, and turning it round, lets what is not a number through to be seen.
        losers = best <= self.floor[:, None]
        flat = np.flatnonzero(np.logical_not(losers, out=losers))
        rows = flat // best.shape[1]
        self._offer_parts(first, tile, best.shape[1], rows, flat - rows * best.shape[1])
        if self.length.max() > self.limit:
            self._prune()

    def _offer_parts(
        self, first: int, tile: NDArray[np.float32], part: int, rows: NDArray[np.intp], places: NDArray[np.intp]
    ) -> None:
        """Takes up the scores of these rows that have these places in any part of the tile, if they are enough."""
        width = tile.shape[1]
        columns = places[:, None] + np.arange(0, width, part)
        score = tile.ravel().take(rows[:, None] * width + columns, mode="clip")
        if width % part:
            score[columns >= width] = -np.inf
        _refuse_nan(score)
        flat = np.flatnonzero(score > self.floor.take(rows)[:, None])
        winners = keys_of(score.ravel().take(flat), columns.ravel().take(flat) + first)
        self._append(rows.take(flat // columns.shape[1]), winners)

    def ranked(self) -> TopN:
        keys = self._decide(np.arange(self.length.size))
        return TopN(items_of(keys), scores_of(keys), np.minimum(self.length, self.n))

    def _raise_floors(self) -> None:
        """Brings bounds and floors up to what was seen so far."""
        if self.seen == self.seen_at_rise:
            return
        # The largest value that cannot belong to the n best.
        self.bound = np.nextafter(self.bests.bound() - 2 * self.error, np.float32(-np.inf))
        # A row that was decided may ask for more: of equal scores only the items seen first count.
        np.maximum(self.floor, self.bound, out=self.floor)
        self.seen_at_rise = self.seen

    def _append(self, rows: NDArray[np.intp], keys: NDArray[np.int64]) -> None:
        """Puts candidates, by ascending row, behind those of their rows."""
        counts = np.bincount(rows, minlength=self.length.size)
        self._reserve(int((self.length + counts).max()))
        starts = np.cumsum(counts) - counts
        offsets = np.arange(self.length.size) * self.keys.shape[1] + self.length - starts
        self.keys.ravel()[np.arange(rows.size) + np.repeat(offsets, counts)] = keys
        self.length += counts

    def _reserve(self, width: int) -> None:
        missing = width - self.keys.shape[1]
        if missing > 0:
            self.keys = np.pad(self.keys, ((0, 0), (0, missing)), constant_values=NOTHING)

    def _prune(self) -> None:
        """Raises the floors, and drops what no longer reaches them."""
        self._raise_floors()
        width = int(self.length.max(initial=0))
        kept = np.flatnonzero(self.keys[:, :width] < keys_of(self.bound, np.zeros(self.bound.size))[:, None])
        keys = self.keys[:, :width].ravel().take(kept)
        self.keys[:, :width] = NOTHING
        self.length[:] = 0
        self._append(kept // width, keys)
        crowded = np.flatnonzero(self.length > self.limit)
        if crowded.size:
            self._settle(crowded)

    def _settle(self, rows: NDArray[np.intp]) -> None:
        """Decides rows whose candidates are too close to be pruned, so that ties cannot fill the memory."""
        decided = self._decide(rows)
        # The last one may have been left to its tile, so both sides can be off.
        self.floor[rows] = scores_of(decided[:, -1]) - 2 * self.error[rows]
        self.keys[rows] = NOTHING
        self.keys[rows, : self.n] = decided
        self.length[rows] = self.n

    def _decide(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Keys of the n best of the rows by deciding scores, best first, (rows, n)."""
        width = max(int(self.length[rows].max(initial=0)), self.n)
        self._reserve(width)
        keys = np.sort(self.keys[rows, :width], axis=1)
        if self.refine is not None:
            self._refine(rows, keys)
            changed = np.flatnonzero((keys[:, 1:] < keys[:, :-1]).any(axis=1))
            keys[changed] = np.sort(keys[changed], axis=1)
        return keys[:, : self.n]

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

    def _refine(self, rows: NDArray[np.intp], keys: NDArray[np.int64]) -> None:
        """Puts deciding scores into ascending keys where they are in doubt."""
        assert self.refine is not None
        row, place = np.nonzero(self._doubtful(rows, scores_of(keys)))
        item_idx = items_of(keys[row, place])
        decided = self.refine(rows[row], item_idx)
        _refuse_nan(decided)
        keys[row, place] = keys_of(decided, item_idx)


def _best_of_parts(tile: NDArray[np.float32], part: int) -> NDArray[np.float32]:
    """The best of the scores that have the same place in each part of a tile, (n_rows, part)."""
    n_rows, width = tile.shape
    whole = width // part
    # One reduction passes over the tile in a third less time than a maximum for each two of the parts.
    best: NDArray[np.float32] = tile[:, : whole * part].reshape(n_rows, whole, part).max(axis=1)
    if width % part:
        rest = tile[:, whole * part :]
        beside = best[:, : rest.shape[1]]
        np.maximum(beside, rest, out=beside)
    return best


def _refuse_nan(score: NDArray[np.float32]) -> None:
    if np.isnan(score).any():
        raise TrainingError(
            "The model gives scores that are not numbers. Train it again with smaller steps or stronger "
            "regularisation (for ALS a larger models.als.reg_param)."
        )
