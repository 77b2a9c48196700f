"""The gender of whoever plays a list of items, and which of them speak for it."""

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
from recsys_spark.runtime.job import JobRun, Report
from recsys_spark.storage.tables import Tables

__all__ = ["TitlePrediction", "gender_of_titles", "predict_titles", "print_prediction"]

# Each takes a pass over the list without it.
MOST_EXPLAINED = 500
BLOCK_ENTRIES = 1 << 20
SHOWN = 5


@dataclass(frozen=True)
class TitlePrediction:
    """`gender` is None below the confidence limit, and where nothing is known; `probabilities` are those of all
    genders then empty. `contributions` holds (title, change): by how much the log odds of the likelier gender against the
    others fall when the title is left out, the largest first; titles that speak against it are negative.
    """

    gender: str | None
    probability: float | None
    probabilities: dict[str, float]
    known_items: int
    matched: tuple[tuple[str, str], ...]
    ambiguous: tuple[str, ...]
    unknown: tuple[ItemMatch, ...]
    contributions: tuple[tuple[str, float], ...]


def gender_of_titles(spark: SparkSession, config: BaseConfig, titles: Sequence[str]) -> TitlePrediction:
    """For notebooks: the newest classifier's (or model.version's) answer to a list of titles or item ids.

    Raises MissingInputError where no classifier was trained.
    """
    report = Report("predict_gender", "notebook")
    run = JobRun(spark, config, Tables(spark, config, report.run_id, report.job), report)
    return predict_titles(run, load_classifier(run, find_classifier(run)), titles)


def predict_titles(run: JobRun, stored: TrainedClassifier, titles: Sequence[str]) -> TitlePrediction:
    """The prediction for somebody who plays these items, each once, whatever the order and repetitions."""
    matches = match_items(run.tables, titles)
    known = sorted({match.item_idx for match in matches if match.item_idx is not None})
    names = item_names(run.tables, known)
    matched = tuple((match.asked, names[match.item_idx]) for match in matches if match.item_idx is not None)
    ambiguous = tuple(match.asked for match in matches if match.others)
    unknown = tuple(match for match in matches if match.item_idx is None)
    items, confidence = _weighted(run, stored, known)
    chances, n_known = block_probabilities(_block(items, confidence, [np.arange(items.size)]), stored.model)
    if not n_known[0]:
        return TitlePrediction(None, None, {}, 0, matched, ambiguous, unknown, ())
    likelier = int(chances[0].argmax())
    probability = float(chances[0, likelier])
    changes = _changes(stored, items, confidence, likelier, chances[0])
    order = sorted(range(len(changes)), key=lambda place: (-changes[place], items[place]))
    return TitlePrediction(
        stored.model.labels[likelier] if probability >= run.config.gender.confidence else None,
        probability,
        dict(zip(stored.model.labels, map(float, chances[0]), strict=True)),
        int(n_known[0]),
        matched,
        ambiguous,
        unknown,
        tuple((names[int(items[place])], float(changes[place])) for place in order),
    )


def _weighted(
    run: JobRun, stored: TrainedClassifier, items: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The items that the model would count, with the confidence that one play gives."""
    pairs = run.spark.createDataFrame(
        [(0, item, 1) for item in items], "user_idx INT, item_idx INT, play_count BIGINT"
    ).withColumn("rating", F.lit(None).cast("double"))
    if stored.source is None:
        pairs = pairs.withColumn("confidence", F.lit(1.0).cast("float"))
    else:
        pairs = stored.source.kind.with_confidence(pairs, stored.source.folder)
    rows = {row["item_idx"]: row["confidence"] for row in pairs.select("item_idx", "confidence").collect()}
    confidence = [np.nan if rows[item] is None else rows[item] for item in items]
    return np.array(items, np.int32), np.array(confidence, np.float32)


def _block(items: NDArray[np.int32], confidence: NDArray[np.float32], kept: Sequence[NDArray[np.intp]]) -> UserBlock:
    """A user for each selection of the items."""
    indptr = np.concatenate(([0], np.cumsum([places.size for places in kept])))
    places = np.concatenate(kept)
    return UserBlock(None, Histories(indptr, items[places], confidence[places]))


def _changes(
    stored: TrainedClassifier,
    items: NDArray[np.int32],
    confidence: NDArray[np.float32],
    label: int,
    chances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The fall of the label's log odds without each of the first MOST_EXPLAINED items."""
    explained = min(items.size, MOST_EXPLAINED)
    without = np.empty(explained)
    step = max(1, BLOCK_ENTRIES // max(1, items.size))
    for start in range(0, explained, step):
        stop = min(start + step, explained)
        kept = [np.delete(np.arange(items.size), place) for place in range(start, stop)]
        without[start:stop] = _log_odds(block_probabilities(_block(items, confidence, kept), stored.model)[0][:, label])
    return _log_odds(chances[label]) - without


def _log_odds(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    safe = np.clip(chance, 1e-12, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(safe / (1 - safe))
    return odds


def print_prediction(prediction: TitlePrediction) -> None:
    """As a person reads it, on stdout; titles are kept out of logs."""
    console = Console(soft_wrap=True, highlight=False)
    if prediction.probability is None:
        console.print("gender: unknown (none of these items is known to the model)", markup=False)
    else:
        said = prediction.gender or "unsure"
        each = ", ".join(f"{label} {chance:.3f}" for label, chance in prediction.probabilities.items())
        console.print(f"gender: {said} ({each}; from {prediction.known_items} known items)", markup=False)
    _print_titles(console, prediction)
    if prediction.contributions:
        table = Table("title", "log odds", title="What spoke for it, and what against it")
        shown = prediction.contributions[:SHOWN]
        shown += tuple(pair for pair in prediction.contributions[SHOWN:][-SHOWN:] if pair[1] < 0)
        for title, change in shown:
            table.add_row(title, f"{change:+.3f}")
        console.print(table, markup=False)


def _print_titles(console: Console, prediction: TitlePrediction) -> None:
    if prediction.ambiguous:
        console.print(
            f"several items are called: {'; '.join(prediction.ambiguous)} (the first one was taken)", markup=False
        )
    for match in prediction.unknown:
        near = f"; nearest: {', '.join(match.suggestions)}" if match.suggestions else ""
        console.print(f"not found: {match.asked}{near}", markup=False)
