"""Gender prediction for a list of titles, with the contribution of each title."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from recsys_spark.config.model import BaseConfig
from recsys_spark.gender.prediction import block_probabilities
from recsys_spark.gender.trained_classifier import TrainedClassifier, find_classifier, load_classifier
from recsys_spark.ranking.scorer import Histories, UserBlock
from recsys_spark.recommend.names import ItemMatch, item_names, match_items
from recsys_spark.storage.tables import Tables

__all__ = ["TitlePrediction", "gender_of_titles", "predict_titles", "print_prediction"]

# The contribution of a title takes one prediction without it.
MAX_EXPLAINED = 500
BLOCK_ENTRIES = 1 << 20
SHOWN = 5


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


def gender_of_titles(spark: SparkSession, config: BaseConfig, titles: Sequence[str]) -> TitlePrediction:
    """Predict the gender for a list of titles or item ids, for use in notebooks.

    The classifier is model.version, or the newest one. Raises MissingInputError where no classifier was trained.
    """
    tables = Tables(spark, config, "notebook", "predict_gender")
    version = find_classifier(tables, config.model.version)
    return predict_titles(tables, config, load_classifier(tables, config.files_root, version), titles)


def predict_titles(
    tables: Tables, config: BaseConfig, classifier: TrainedClassifier, titles: Sequence[str]
) -> TitlePrediction:
    """Predict the gender for a history of these items, one play each.

    Order and repetitions of titles do not count.
    """
    matches = match_items(tables, titles)
    known = sorted({match.item_idx for match in matches if match.item_idx is not None})
    names = item_names(tables, known)
    matched = tuple((match.asked, names[match.item_idx]) for match in matches if match.item_idx is not None)
    ambiguous = tuple(match.asked for match in matches if match.others)
    unknown = tuple(match for match in matches if match.item_idx is None)
    items, confidence = _with_confidence(tables, classifier, known)
    base_rates = _base_rates(classifier)
    chances, n_known = block_probabilities(_block(items, confidence, [np.arange(items.size)]), classifier.model)
    if not n_known[0]:
        return TitlePrediction(None, None, {}, base_rates, 0, matched, ambiguous, unknown, ())
    likelier = int(chances[0].argmax())
    probability = float(chances[0, likelier])
    changes = _contributions(classifier, items, confidence, likelier, chances[0])
    order = sorted(range(len(changes)), key=lambda place: (-changes[place], items[place]))
    return TitlePrediction(
        classifier.model.labels[likelier] if probability >= config.gender.confidence else None,
        probability,
        dict(zip(classifier.model.labels, map(float, chances[0]), strict=True)),
        base_rates,
        int(n_known[0]),
        matched,
        ambiguous,
        unknown,
        tuple((names[int(items[place])], float(changes[place])) for place in order),
    )


def _base_rates(classifier: TrainedClassifier) -> dict[str, float]:
    users = classifier.described["class_users"]
    return {label: n / sum(users) for label, n in zip(classifier.model.labels, users, strict=True)}


def _with_confidence(
    tables: Tables, classifier: TrainedClassifier, items: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return items and the confidence of one play, NaN for items that are no input."""
    pairs = tables.spark.createDataFrame(
        [(0, item, 1) for item in items], "user_idx INT, item_idx INT, play_count BIGINT"
    ).withColumn("rating", F.lit(None).cast("double"))
    if classifier.source is None:
        pairs = pairs.withColumn("confidence", F.lit(1.0).cast("float"))
    else:
        pairs = classifier.source.kind.with_confidence(pairs, classifier.source.folder)
    rows = {row["item_idx"]: row["confidence"] for row in pairs.select("item_idx", "confidence").collect()}
    confidence = [np.nan if rows[item] is None else rows[item] for item in items]
    return np.array(items, np.int32), np.array(confidence, np.float32)


def _block(items: NDArray[np.int32], confidence: NDArray[np.float32], kept: Sequence[NDArray[np.intp]]) -> UserBlock:
    """Return a block with one user for each selection of the items."""
    indptr = np.concatenate(([0], np.cumsum([places.size for places in kept])))
    places = np.concatenate(kept)
    return UserBlock(None, Histories(indptr, items[places], confidence[places]))


def _contributions(
    classifier: TrainedClassifier,
    items: NDArray[np.int32],
    confidence: NDArray[np.float32],
    label: int,
    chances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the fall of the label's log odds without each of the first MAX_EXPLAINED items."""
    explained = min(items.size, MAX_EXPLAINED)
    without = np.empty(explained)
    step = max(1, BLOCK_ENTRIES // max(1, items.size))
    for start in range(0, explained, step):
        stop = min(start + step, explained)
        kept = [np.delete(np.arange(items.size), place) for place in range(start, stop)]
        without[start:stop] = _log_odds(
            block_probabilities(_block(items, confidence, kept), classifier.model)[0][:, label]
        )
    return _log_odds(chances[label]) - without


def _log_odds(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    safe = np.clip(chance, 1e-12, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(safe / (1 - safe))
    return odds


def print_prediction(prediction: TitlePrediction) -> None:
    """Print a prediction on stdout; titles are kept out of logs."""
    console = Console(soft_wrap=True, highlight=False)
    if prediction.probability is None:
        console.print("gender: unknown (the model has none of these items)", markup=False)
    else:
        gender = prediction.gender or "unsure"
        console.print(
            f"gender: {gender} ({_each(prediction.probabilities)}; from {prediction.known_items} known items)",
            markup=False,
        )
        console.print(f"base rate: {_base_rate_text(prediction)}", markup=False)
    _print_titles(console, prediction)
    if prediction.contributions:
        table = Table("title", "log odds", title="Contribution of titles")
        shown = prediction.contributions[:SHOWN]
        shown += tuple(pair for pair in prediction.contributions[SHOWN:][-SHOWN:] if pair[1] < 0)
        for title, change in shown:
            table.add_row(title, f"{change:+.3f}")
        console.print(table, markup=False)


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
        console.print(
            f"several items have the name: {'; '.join(prediction.ambiguous)} (the first one is taken)", markup=False
        )
    for match in prediction.unknown:
        near = f"; nearest: {', '.join(match.suggestions)}" if match.suggestions else ""
        console.print(f"not found: {match.asked}{near}", markup=False)
