"""Calibrated logistic regression, as weights that need no library to predict.

The regularisation is chosen by cross-validation within the training users. The margins of the left-out users train a
second logistic regression from margins to labels (Platt 1999; with more classes matrix scaling, Guo et al. 2017). The
regularisation with the smallest log loss after this calibration is taken. The log loss before it would favour too
little regularisation, as strong regularisation makes margins small, which calibration corrects. Both regressions are
linear up to the softmax, so the calibrated classifier is one matrix and one vector.

Small data is fitted on arrays by the driver (array_fit), large data by MLlib on the executors (mllib_fit).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.config.gender import GenderSettings
from recsys_spark.core.errors import TrainingError
from recsys_spark.gender.logistic import LinearMap
from recsys_spark.gender.reliability import Reliability

__all__ = ["CALIBRATION_REG", "Classifier", "check_class_users", "class_weights", "composed"]

# Calibration has few parameters and many users, so it needs hardly any regularisation.
CALIBRATION_REG = 1e-5


@dataclass(frozen=True)
class Classifier:
    """Probabilities of `labels` are the softmax of weights (classes, width) @ features + bias (classes,)."""

    labels: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    reg_param: float
    log_loss: float
    reliability: Reliability
    class_users: tuple[int, ...]


def check_class_users(class_users: tuple[int, ...], labels: tuple[str, ...], settings: GenderSettings) -> None:
    """Raise TrainingError where a label has fewer users than there are inner folds."""
    if min(class_users) < settings.inner_folds:
        lacking = labels[int(np.argmin(class_users))]
        raise TrainingError(
            f"{min(class_users)} users of gender {lacking} are left for training, fewer than gender.inner_folds = "
            f"{settings.inner_folds}: ingest more profiles, or lower that key"
        )


def class_weights(class_users: tuple[int, ...], settings: GenderSettings) -> list[float]:
    """Return the weight of the users of each label: 1, or with balanced classes equal sums."""
    if settings.class_weight == "none":
        return [1.0] * len(class_users)
    fair = sum(class_users) / len(class_users)
    return [fair / users for users in class_users]


def composed(margins: LinearMap, calibration: LinearMap) -> LinearMap:
    """Return the calibrated logits as one linear map of the features.

    Raises TrainingError where a weight is not finite.
    """
    logits = calibration.after(margins)
    if not (np.isfinite(logits.matrix).all() and np.isfinite(logits.bias).all()):
        raise TrainingError("the weights of the classifier are not finite: raise gender.reg_params")
    # Softmax ignores a part that all classes share; without it, weights are smallest.
    return LinearMap(logits.matrix - logits.matrix.mean(axis=0), logits.bias - logits.bias.mean())
