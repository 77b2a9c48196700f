"""Fit of the classifier by MLlib on the executors, for data of any size."""

from dataclasses import dataclass
from functools import reduce
from multiprocessing.pool import ThreadPool

from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from recsys_spark.config.gender import GenderSettings
from recsys_spark.gender.classifier import CALIBRATION_REG, Classifier, check_class_users, class_weights, composed
from recsys_spark.gender.logistic import LinearMap
from recsys_spark.gender.reliability import reliability

__all__ = ["fit_with_mllib"]

FITS_AT_ONCE = 4


@dataclass(frozen=True)
class _Calibrated:
    """Calibration of one regularisation.

    `left_out` are the calibrated probabilities of the left-out users (label, probability), with their log loss.
    """

    reg_param: float
    calibration: LogisticRegressionModel
    left_out: DataFrame
    log_loss: float


def fit_with_mllib(frame: DataFrame, labels: tuple[str, ...], settings: GenderSettings) -> Classifier:
    """Train on a feature_frame; `fold` is the inner fold that leaves a user out.

    The driver holds the weights of every fold and regularisation: inner_folds x reg_params x classes x width numbers.
    Raises TrainingError where a label has too few users.
    """
    kept = frame.persist()
    try:
        return _fit(kept, labels, settings)
    finally:
        kept.unpersist()


def _fit(frame: DataFrame, labels: tuple[str, ...], settings: GenderSettings) -> Classifier:
    counted = {row["label"]: row["count"] for row in frame.groupBy("label").count().collect()}
    class_users = tuple(counted.get(float(place), 0) for place in range(len(labels)))
    check_class_users(class_users, labels, settings)
    weights = F.array(*[F.lit(weight) for weight in class_weights(class_users, settings)])
    final, best = _search(frame.withColumn("weight", weights[F.col("label").cast("int")]), settings)
    logits = composed(_margins(final), _logits(best.calibration))
    measured = reliability(best.left_out)
    return Classifier(labels, logits.matrix, logits.bias, best.reg_param, best.log_loss, measured, class_users)


def _search(frame: DataFrame, settings: GenderSettings) -> tuple[LogisticRegressionModel, _Calibrated]:
    """Cross-validate every regularisation in parallel and train the best on all users.

    CrossValidator is not used, as its folds are a Python function whose workers restart for each of its jobs.
    """
    regression = LogisticRegression(
        weightCol="weight", maxIter=settings.max_iter, standardization=False, elasticNetParam=0.0, tol=1e-4
    )

    def fit(place: tuple[int, int]) -> LogisticRegressionModel:
        fold, which = place
        fitted: LogisticRegressionModel = regression.fit(
            frame.where(F.col("fold") != fold), {regression.regParam: settings.reg_params[which]}
        )
        return fitted

    places = [(fold, which) for which in range(len(settings.reg_params)) for fold in range(settings.inner_folds)]
    in_thread = inheritable_thread_target(frame.sparkSession)
    with ThreadPool(FITS_AT_ONCE) as pool:
        models = dict(zip(places, pool.map(in_thread(fit), places), strict=True))
    tried = [
        _calibrated(frame, reg_param, [models[fold, which] for fold in range(settings.inner_folds)])
        for which, reg_param in enumerate(settings.reg_params)
    ]
    best = min(tried, key=lambda calibrated: calibrated.log_loss)
    return regression.fit(frame, {regression.regParam: best.reg_param}), best


def _calibrated(frame: DataFrame, reg_param: float, fold_models: list[LogisticRegressionModel]) -> _Calibrated:
    """Calibrate the margins of the left-out users."""
    left_out = _left_out(frame, fold_models).select("label", "rawPrediction").localCheckpoint()
    calibration = _fit_calibration(left_out)
    probabilities = calibration.transform(left_out).select("label", F.col("calibrated").alias("probability"))
    evaluator = MulticlassClassificationEvaluator(metricName="logLoss")  # type: ignore[arg-type]
    # The evaluator requires predictions, but does not use them for the log loss.
    loss = evaluator.evaluate(probabilities.withColumn("prediction", F.lit(0.0)))
    return _Calibrated(reg_param, calibration, probabilities, float(loss))


def _left_out(frame: DataFrame, fold_models: list[LogisticRegressionModel]) -> DataFrame:
    """Return all users, each predicted by the model that was trained without its fold."""
    parts = [
        model.transform(frame.where(F.col("fold") == fold)).drop("features") for fold, model in enumerate(fold_models)
    ]
    return reduce(DataFrame.unionByName, parts)


def _fit_calibration(left_out: DataFrame) -> LogisticRegressionModel:
    calibration = LogisticRegression(
        featuresCol="rawPrediction",
        rawPredictionCol="calibrated_margin",
        probabilityCol="calibrated",
        predictionCol="calibrated_prediction",
        regParam=CALIBRATION_REG,
        elasticNetParam=0.0,
    )
    fitted: LogisticRegressionModel = calibration.fit(left_out)
    return fitted


def _margins(model: LogisticRegressionModel) -> LinearMap:
    """Return rawPrediction as a linear map.

    With two classes MLlib returns one margin with both signs.
    """
    return _coefficients(model).with_both_signs()


def _logits(model: LogisticRegressionModel) -> LinearMap:
    """Return the logits whose softmax are the probabilities; with two classes the first is zero."""
    return _coefficients(model).with_zero()


def _coefficients(model: LogisticRegressionModel) -> LinearMap:
    return LinearMap(model.coefficientMatrix.toArray(), model.interceptVector.toArray())
