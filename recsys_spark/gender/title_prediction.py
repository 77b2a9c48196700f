"""Predicted gender of a list of titles, with the contribution of each title; it needs no Spark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from recsys_spark.core.logs import plain_console, text_table
from recsys_spark.gender.linear_model import LinearModel, base_rates, block_probabilities
from recsys_spark.ranking.scorer import Histories, UserBlock
from recsys_spark.recommend.item_match import ItemMatch

__all__ = ["TitleHistory", "TitlePrediction", "predict_matches", "print_prediction"]

# The contribution of a title takes one prediction without it.
MAX_EXPLAINED = 500
BLOCK_ENTRIES = 1 << 20
SHOWN = 5


class TitleHistory(NamedTuple):
    """Items and the confidence of one play of each.

    item_idx (n,) ascending; confidence (n,), NaN for items that are no input of the model.
    """

    item_idx: NDArray[np.int32]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class TitlePrediction:
    """Predicted gender of a list of titles.

    `gender` is None below the confidence limit and without known items. `probabilities` are those of all genders, empty
    without known items. `base_rates` are the shares of the genders among the users that the classifier was trained on.
    `contributions` holds (title, change): the fall of the log odds of the likelier gender when the title is left out,
    largest first. Titles with a negative change speak against it.
    """

    gender: str | None
    probability: float | None
    probabilities: dict[str, float]
    base_rates: dict[str, float]
    known_items: int
    matched: tuple[tuple[str, str], ...]
    ambiguous: tuple[str, ...]
    unknown: tuple[ItemMatch, ...]
    contributions: tuple[tuple[str, float], ...]

    def _repr_html_(self) -> str:
        """Show the prediction in a notebook."""
        if self.probability is None:
            return "<p>gender: unknown (the model has none of these items)</p>"
        gender = escape(self.gender or "unsure")
        rows = "".join(
            f"<tr><td>{escape(title)}</td><td>{change:+.3f}</td></tr>" for title, change in self.contributions
        )
        return (
            f"<p><b>{gender}</b> ({escape(_each(self.probabilities))}; from {self.known_items} known items)<br>"
            f"base rate: {escape(_base_rate_text(self))}</p>"
            f"<table><tr><th>title</th><th>log odds</th></tr>{rows}</table>"
        )


def predict_matches(
    model: LinearModel,
    described: dict[str, Any],
    matches: Sequence[ItemMatch],
    names: Mapping[int, str],
    history: TitleHistory,
    limit: float,
) -> TitlePrediction:
    """Predict the gender for the matched items, one play each.

    `history` has the distinct items of the matches, `names` their names by item_idx. Below the probability `limit` no
    gender is stated.
    """
    matched = tuple((match.asked, names[match.item_idx]) for match in matches if match.item_idx is not None)
    ambiguous = tuple(match.asked for match in matches if match.others)
    unknown = tuple(match for match in matches if match.item_idx is None)
    chances, n_known = block_probabilities(_block(history, [np.arange(history.item_idx.size)]), model)
    if not n_known[0]:
        return TitlePrediction(None, None, {}, base_rates(described), 0, matched, ambiguous, unknown, ())
    likelier = int(chances[0].argmax())
    probability = float(chances[0, likelier])
    changes = _contributions(model, history, likelier, chances[0])
    order = sorted(range(len(changes)), key=lambda place: (-changes[place], history.item_idx[place]))
    return TitlePrediction(
        model.labels[likelier] if probability >= limit else None,
        probability,
        dict(zip(model.labels, map(float, chances[0]), strict=True)),
        base_rates(described),
        int(n_known[0]),
        matched,
        ambiguous,
        unknown,
        tuple((names[int(history.item_idx[place])], float(changes[place])) for place in order),
    )


def _block(history: TitleHistory, kept: Sequence[NDArray[np.intp]]) -> UserBlock:
    """Return a block with one user for each selection of the items."""
    indptr = np.concatenate(([0], np.cumsum([places.size for places in kept])))
    places = np.concatenate(kept)
    return UserBlock(None, Histories(indptr, history.item_idx[places], history.confidence[places]))


def _contributions(
    model: LinearModel, history: TitleHistory, label: int, chances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the fall of the label's log odds without each of the first MAX_EXPLAINED items."""
    items = history.item_idx
    explained = min(items.size, MAX_EXPLAINED)
    without = np.empty(explained)
    step = max(1, BLOCK_ENTRIES // max(1, items.size))
    for start in range(0, explained, step):
        stop = min(start + step, explained)
        kept = [np.delete(np.arange(items.size), place) for place in range(start, stop)]
        without[start:stop] = _log_odds(block_probabilities(_block(history, kept), model)[0][:, label])
    return _log_odds(chances[label]) - without


def _log_odds(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    safe = np.clip(chance, 1e-12, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(safe / (1 - safe))
    return odds


def print_prediction(prediction: TitlePrediction) -> None:
    """Print a prediction on stdout; titles are kept out of logs."""
    console = plain_console()
    if prediction.probability is None:
        console.print("gender: unknown (the model has none of these items)")
    else:
        gender = prediction.gender or "unsure"
        console.print(
            f"gender: {gender} ({_each(prediction.probabilities)}; from {prediction.known_items} known items)",
        )
        console.print(f"base rate: {_base_rate_text(prediction)}")
    _print_titles(console, prediction)
    if prediction.contributions:
        table = text_table("title", "log odds", title="Contribution of titles")
        shown = prediction.contributions[:SHOWN]
        shown += tuple(pair for pair in prediction.contributions[SHOWN:][-SHOWN:] if pair[1] < 0)
        for title, change in shown:
            table.add_row(title, f"{change:+.3f}")
        console.print(table)


def _base_rate_text(prediction: TitlePrediction) -> str:
    """Compare the probability of the likelier gender with its share among all users."""
    assert prediction.probability is not None
    label = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
    change = prediction.probability - prediction.base_rates[label]
    effect = "raise" if change > 0 else "lower"
    return (
        f"{_each(prediction.base_rates)} among the users in training; the titles {effect} {label} by {abs(change):.3f}"
    )


def _each(shares: dict[str, float]) -> str:
    return ", ".join(f"{label} {share:.3f}" for label, share in shares.items())


def _print_titles(console: Console, prediction: TitlePrediction) -> None:
    if prediction.ambiguous:
        console.print(f"several items have the name: {'; '.join(prediction.ambiguous)} (the first one is taken)")
    for match in prediction.unknown:
        near = f"; nearest: {', '.join(match.suggestions)}" if match.suggestions else ""
        console.print(f"not found: {match.asked}{near}")
