"""Which models are judged on a split, and the setup that they make."""

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.evaluation.evaluation_inputs import EvaluatedModel
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, RatingRange, ScoringModel
from recsys_spark.metrics.ranking import parse_metric
from recsys_spark.models.popularity import PopularitySettings
from recsys_spark.models.spark_training import train
from recsys_spark.models.training_plan import plan_version
from recsys_spark.models.versions import ModelVersion, find_model
from recsys_spark.preparation.training_pairs import TrainingPairs
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.trained_model import load_model, read_vectors
from recsys_spark.runtime.job import JobRun

__all__ = ["build_evaluation_setup", "check_metrics", "ensure_popularity", "find_evaluated_models"]


def check_metrics(metrics: tuple[str, ...]) -> None:
    """Raises ConfigError with every text that is no metric of lists."""
    problems = []
    for text in metrics:
        try:
            if parse_metric(text).k is None:
                problems.append(f"{text!r} does not judge lists")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*(f"evaluation.metrics: {problem}" for problem in problems))


def ensure_popularity(run: JobRun, pairs: TrainingPairs) -> str:
    """The version of popularity on the split, trained if need be: every table of figures has it beside the others."""
    plan = plan_version(run.tables, run.config, "popularity", PopularitySettings(), pairs)
    if not plan.is_done(run.tables, run.config.files_root):
        run.count(**train(run.tables, run.config, plan))
    return plan.version


def find_evaluated_models(run: JobRun, split_id: str, popularity: str) -> list[EvaluatedModel]:
    """The versions that evaluation.models names, or of each kind the newest that was trained on the split.

    A kind stands for its newest version on the training part alone. Where ratings are judged, models that predict none
    are left out. Raises ConfigError for a version of another split, one that predicts no ratings where they are judged
    or one that was trained on what judges it; MissingInputError for what was never trained.
    """
    by_ratings = run.config.split.protocol in RATING_PROTOCOLS
    newest, asked = _newest(run, split_id), run.config.evaluation.models
    versions = dict.fromkeys(newest.values()) if not asked else {}
    for name in asked:
        versions[newest[name] if name in newest else _of_split(run, name, split_id)] = None
    if not by_ratings:
        versions[popularity] = None
    candidates = []
    for version in versions:
        stored = load_model(run.config.files_root, find_model(run.tables, version.split("-")[0], version))
        if stored.version.fit == "train_and_validation" and run.config.evaluation.part == "validation":
            raise ConfigError(f"evaluation.models: {version} was trained on the validation part: judge it on the test")
        if by_ratings and not stored.kind.predicts_ratings:
            if asked:
                raise ConfigError(f"evaluation.models: {version} predicts no ratings, which is what the split judges")
            continue
        candidates.append(EvaluatedModel(stored, read_vectors(run.tables, "user_vectors", version)))
    if not candidates:
        raise MissingInputError(f"no model was trained on {split_id}: train one with the same split settings first")
    return candidates


def build_evaluation_setup(
    run: JobRun,
    candidates: list[EvaluatedModel],
    popularity: str,
    train: DataFrame,
    metrics: tuple[str, ...] | None = None,
) -> EvaluationSetup:
    """The candidates with what is measured: evaluation.metrics unless told, and what each kind is compared by; `train`
    are the training pairs.
    """
    settings, by_ratings = run.config.evaluation, run.config.split.protocol in RATING_PROTOCOLS
    (facts,) = train.agg(
        F.count_distinct("user_idx").alias("users"), F.min("rating").alias("lowest"), F.max("rating").alias("highest")
    ).collect()
    measured = metrics or tuple(dict.fromkeys((*settings.metrics, *(c.stored.kind.metric for c in candidates))))
    folder = Path(run.config.files_root) / "models" / popularity / "items"
    return EvaluationSetup(
        tuple(
            ScoringModel(c.version, c.stored.scorer, c.stored.kind.history_order, c.stored.matrix) for c in candidates
        ),
        () if by_ratings else measured,
        RatingRange(facts["lowest"], facts["highest"]) if by_ratings else None,
        ItemMatrix.open(folder),
        facts["users"],
        settings.list_length,
        settings.draws,
        run.config.run.seed,
    )


def _newest(run: JobRun, split_id: str) -> dict[str, str]:
    """Kind -> newest version of those that were trained on the training part of the split."""
    order = Window.partitionBy("algorithm").orderBy(F.desc("created_at"), "model_version")
    fit = F.coalesce(F.get_json_object("params", "$.fit"), F.lit("train"))
    models = run.tables.read("models").where((F.col("split_id") == split_id) & (fit == "train"))
    newest = models.withColumn("place", F.row_number().over(order)).where("place = 1").orderBy("algorithm")
    return {row["algorithm"]: row["model_version"] for row in newest.select("algorithm", "model_version").collect()}


def _of_split(run: JobRun, name: str, split_id: str) -> str:
    if "-" not in name:
        raise MissingInputError(
            f"evaluation.models: no model of kind {name!r} was trained on {split_id}: train it with the same split "
            "settings first"
        )
    version: ModelVersion = find_model(run.tables, name.split("-", maxsplit=1)[0], name)
    if version.split_id != split_id:
        where = "everything" if version.split_id is None else version.split_id
        raise ConfigError(f"evaluation.models: {name} was trained on {where}, not on the training part of {split_id}")
    return name
