"""Gender prediction for a list of titles, from the tables by Spark."""

from collections.abc import Sequence

import numpy as np
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.gender.title_prediction import TitleHistory, TitlePrediction, predict_matches
from recsys_spark.gender.trained_classifier import TrainedClassifier
from recsys_spark.recommend.names import item_names, match_items
from recsys_spark.storage.tables import Tables

__all__ = ["predict_titles"]


def predict_titles(
    tables: Tables, config: BaseConfig, classifier: TrainedClassifier, titles: Sequence[str]
) -> TitlePrediction:
    """Predict the gender for a history of these items, one play each.

    Order and repetitions of titles do not count.
    """
    matches = match_items(tables, titles)
    known = sorted({match.item_idx for match in matches if match.item_idx is not None})
    history = _history(tables, classifier, known)
    names = item_names(tables, known)
    return predict_matches(classifier.model, classifier.described, matches, names, history, config.gender.confidence)


def _history(tables: Tables, classifier: TrainedClassifier, items: Sequence[int]) -> TitleHistory:
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
    return TitleHistory(np.array(items, np.int32), np.array(confidence, np.float32))
