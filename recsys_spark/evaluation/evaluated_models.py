"""Selection of the models to evaluate on a split, and the evaluation setup."""

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import all_kinds
from recsys_spark.evaluation.evaluation_inputs import EvaluatedModel
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, RatingRange, ScoringModel
from recsys_spark.metrics.ranking import RANKING_METRICS, parse_metric
from recsys_spark.models.settings.popularity import PopularitySettings
from recsys_spark.models.spark_training import train
from recsys_spark.models.training_plan import plan_version
from recsys_spark.models.versions import find_model
from recsys_spark.preparation.training_pairs import TrainingPairs
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.trained_model import load_model, read_vectors
from recsys_spark.storage.tables import Tables

__all__ = ["build_evaluation_setup", "check_metrics", "ensure_popularity", "find_evaluated_models"]


def check_metrics(metrics: tuple[str, ...]) -> None:
    """Raise ConfigError naming every text that is no ranking metric."""
    problems = []
    for text in metrics:
        try:
            if parse_metric(text).name not in RANKING_METRICS:
                problems.append(f"{text!r} is no ranking metric")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*(f"evaluation.metrics: {problem}" for problem in problems))


def ensure_popularity(tables: Tables, config: BaseConfig, pairs: TrainingPairs) -> str:
    """Return the popularity version of the split, training it first if it does not exist.

    Popularity is the baseline of every evaluation of lists.
    """
    plan = plan_version(tables, config, "popularity", PopularitySettings(), pairs)
    if not plan.is_done(tables, config.files_root):
        train(tables, config, plan)
    return plan.version


def find_evaluated_models(tables: Tables, config: BaseConfig, split_id: str, popularity: str) -> list[EvaluatedModel]:
    """Return the models to evaluate on a split.

    These are the versions named by evaluation.models, or without it the newest version of each kind that was trained on
    the training part of the split. A kind in evaluation.models also stands for that newest version. Rankings are
    evaluated with the `popularity` version as well. Rating protocols leave out models that predict no ratings.

    Raises ConfigError for a version of another split, for one without ratings under a rating protocol and for one that
    was trained on the evaluated part; MissingInputError for a model that was never trained.
    """
    by_ratings = config.split.protocol in RATING_PROTOCOLS
    newest, asked = _newest_versions(tables, split_id), config.evaluation.models
    versions = dict.fromkeys(newest.values()) if not asked else {}
    for name in asked:
        versions[newest[name] if name in newest else _check_split(tables, name, split_id)] = None
    if not by_ratings:
        versions[popularity] = None
    models = []
    for version in versions:
        trained = load_model(config.files_root, find_model(tables, version.split("-")[0], version))
        if trained.version.fit == "train_and_validation" and config.evaluation.part == "validation":
            raise ConfigError(
                f"evaluation.models: {version} was trained on the validation part: set evaluation.part to test"
            )
        if by_ratings and not trained.kind.predicts_ratings:
            if asked:
                raise ConfigError(
                    f"evaluation.models: {version} predicts no ratings, but {config.split.protocol} measures their "
                    "error: leave it out or choose another split.protocol"
                )
            continue
        models.append(EvaluatedModel(trained, read_vectors(tables, "user_vectors", version)))
    if not models:
        raise MissingInputError(f"no model was trained on {split_id}: train one with the same split settings first")
    return models


def build_evaluation_setup(
    config: BaseConfig,
    models: list[EvaluatedModel],
    popularity: str,
    train_pairs: DataFrame,
    metrics: tuple[str, ...] | None = None,
) -> EvaluationSetup:
    """Return the setup that executors need to evaluate the models.

    Without `metrics`, those of evaluation.metrics and the selection metric of each kind are measured. `train_pairs` are
    the training pairs of the split.
    """
    settings, by_ratings = config.evaluation, config.split.protocol in RATING_PROTOCOLS
    (facts,) = train_pairs.agg(
        F.count_distinct("user_idx").alias("users"), F.min("rating").alias("lowest"), F.max("rating").alias("highest")
    ).collect()
    measured = metrics or tuple(dict.fromkeys((*settings.metrics, *(m.trained.kind.metric for m in models))))
    folder = Path(config.files_root) / "models" / popularity / "items"
    return EvaluationSetup(
        tuple(
            ScoringModel(m.version, m.trained.scorer, m.trained.kind.history_order, m.trained.matrix) for m in models
        ),
        () if by_ratings else measured,
        RatingRange(facts["lowest"], facts["highest"]) if by_ratings else None,
        ItemMatrix.open(folder),
        facts["users"],
        settings.list_length,
        settings.draws,
        config.run.seed,
    )


def _newest_versions(tables: Tables, split_id: str) -> dict[str, str]:
    """Return kind -> newest version trained on the training part of the split."""
    order = Window.partitionBy("algorithm").orderBy(F.desc("created_at"), "model_version")
    fit = F.coalesce(F.get_json_object("params", "$.fit"), F.lit("train"))
    # Lists of similar items are versions as well, but score no users.
    scoring = F.col("algorithm").isin(*all_kinds())
    models = tables.read("models").where((F.col("split_id") == split_id) & (fit == "train") & scoring)
    newest = models.withColumn("place", F.row_number().over(order)).where("place = 1").orderBy("algorithm")
    return {row["algorithm"]: row["model_version"] for row in newest.select("algorithm", "model_version").collect()}


def _check_split(tables: Tables, name: str, split_id: str) -> str:
    """Return the version `name`, if it was trained on the split."""
    if "-" not in name:
        raise MissingInputError(
            f"evaluation.models: no model of kind {name!r} was trained on {split_id}: train it with the same split "
            "settings first"
        )
    version = find_model(tables, name.split("-", maxsplit=1)[0], name)
    if version.split_id != split_id:
        where = "everything" if version.split_id is None else version.split_id
        raise ConfigError(
            f"evaluation.models: {name} was trained on {where}, not on the training part of {split_id}: name a version "
            "of this split, or set the settings of the other split"
        )
    return name
