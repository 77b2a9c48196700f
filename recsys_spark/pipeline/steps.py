"""Steps of the pipeline, in order."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module

from pydantic import BaseModel
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import ITEM_KNN, NETWORKS, training_job
from recsys_spark.gender.labelled_users import has_enough_labels
from recsys_spark.models.kind import load_kind
from recsys_spark.models.versions import kind_of
from recsys_spark.runtime.job import Job, JobRun, Report

__all__ = ["Step", "plan_steps", "run_job", "run_steps", "training_steps"]

log = logging.getLogger(__name__)

GENDER = "gender"
GENDER_JOBS = ("train_gender_model", "predict_gender", "evaluate_gender")
# Count of the predictions in the report of a pipeline.
PREDICTED = f"predict_gender.{GENDER}.predictions"


@dataclass(frozen=True)
class Step:
    """One job of the pipeline.

    `kind` is the kind of its model, if it works on one; `fit` the data of a training job, as model.fit.
    """

    job: str
    kind: str | None = None
    fit: str = "train"

    def __str__(self) -> str:
        return " ".join(part for part in (self.job, self.kind, "" if self.fit == "train" else self.fit) if part)


def plan_steps(config: BaseConfig) -> list[Step]:
    """Return all steps of a configuration, from `pipeline.from` on.

    Raises ConfigError for kinds that the pipeline does not train, and, naming the steps, if `pipeline.from` is not one
    of them.
    """
    _check_kinds(config)
    steps, split = [], config.split.protocol is not None
    if config.source.format == "sample" and config.source.path is None:
        steps.append(Step("generate_sample"))
    steps += [Step("ingest_plays"), Step("build_interactions")]
    if split:
        steps.append(Step("split_interactions"))
    steps += training_steps(config.pipeline.kinds, "train")
    if split:
        steps.append(Step("evaluate"))
    if split and config.pipeline.final_fit:
        steps += training_steps(config.pipeline.kinds, "everything")
    steps += _list_steps(config)
    if config.pipeline.gender:
        source = _gender_source(config)
        steps += [Step("train_gender_model", source), Step("predict_gender", GENDER)]
        if split:
            steps.append(Step("evaluate_gender", source))
        steps.append(Step("publish_model", GENDER))
    if config.pipeline.report:
        steps.append(Step("build_report"))
    start = config.pipeline.start
    if start is None:
        return steps
    names = [step.job for step in steps]
    if start not in names:
        raise ConfigError(
            f"pipeline.from: {start!r} is not a step of this pipeline; its steps are {', '.join(dict.fromkeys(names))}"
        )
    return steps[names.index(start) :]


def _list_steps(config: BaseConfig) -> Iterator[Step]:
    """Yield the steps that build and publish lists.

    Similar items are those of each kind's vectors, or one version from shared users, on the data of the last fit.
    """
    by_users = config.similarity.has_version
    if by_users:
        yield Step("build_item_similarity", ITEM_KNN)
        if config.split.protocol is not None and config.pipeline.final_fit:
            yield Step("build_item_similarity", ITEM_KNN, "everything")
    for kind in _list_kinds(config):
        if not by_users and (kind in NETWORKS or load_kind(kind).has_item_vectors):
            yield Step("build_item_similarity", kind)
        yield Step("build_recommendations", kind)
    yield Step("publish_model", _published_kind(config))
    if by_users:
        yield Step("publish_model", ITEM_KNN)


def _check_kinds(config: BaseConfig) -> None:
    settings = config.pipeline
    named = {"list_kinds": settings.list_kinds, "gender_kind": (settings.gender_kind,)}
    problems = [
        f"pipeline.{key}: {kind!r} is not one of pipeline.kinds ({', '.join(settings.kinds)})"
        for key, kinds in named.items()
        for kind in kinds
        if kind is not None and kind not in settings.kinds
    ]
    if problems:
        raise ConfigError(*problems)


def run_job(spark: SparkSession, name: str, config: BaseConfig) -> Report:
    """Run a job by name in a session and return its report; the job's errors are raised."""
    job: Job = import_module(f"recsys_spark.jobs.{name}").job
    return job(spark, config)


def training_steps(kinds: Iterable[str], fit: str) -> Iterator[Step]:
    """Yield the steps that train these kinds on the data that `fit` names (model.fit)."""
    for kind in kinds:
        if kind in NETWORKS:
            yield Step("write_shards", kind, fit)
        yield Step(training_job(kind), kind, fit)


def run_steps(run: JobRun, steps: list[Step]) -> None:
    """Run each step in the session of this run; the first failure ends the pipeline.

    Steps after a training step use the version that it trained, which may not be the newest of its kind.
    """
    versions: dict[str, str] = {}
    too_few_labels = False
    for number, step in enumerate(steps, start=1):
        log.info("step %d of %d: %s", number, len(steps), step)
        if step.job == "train_gender_model" and not has_enough_labels(run.tables, run.config.gender):
            too_few_labels = True
            log.warning(
                "gender steps skipped: fewer than two genders are stated by at least %d users (gender.min_class_users);"
                " ingest more profiles, or lower that key",
                run.config.gender.min_class_users,
            )
        if too_few_labels and _is_gender_step(step):
            continue
        if step == Step("publish_model", GENDER) and run.report.rows.get(PREDICTED) == 0:
            log.warning(
                "%s skipped: there are no predictions to publish; gender_predictions keeps its serving version", step
            )
            continue
        report = run_job(run.spark, step.job, _step_config(run.config, step, versions))
        if report.model_version is not None:
            versions[kind_of(report.model_version)] = report.model_version
        run.report.outputs |= report.outputs
        run.count(**{f"{step}.{name}".replace(" ", "."): number for name, number in report.rows.items()})


def _is_gender_step(step: Step) -> bool:
    return step.job in GENDER_JOBS or step == Step("publish_model", GENDER)


def _list_kinds(config: BaseConfig) -> tuple[str, ...]:
    """Return the kinds whose lists are built."""
    return config.pipeline.list_kinds or config.pipeline.kinds


def _published_kind(config: BaseConfig) -> str:
    """Return model.kind if its lists are built, else the last kind with lists."""
    kinds = _list_kinds(config)
    return config.model.kind if config.model.kind in kinds else kinds[-1]


def _gender_source(config: BaseConfig) -> str | None:
    """Return the kind whose user vectors are the features of the gender model.

    It is pipeline.gender_kind, or the published kind if that has user vectors, or another kind of the pipeline. Without
    one it is None, and the features are the users' items.
    """
    if config.pipeline.gender_kind is not None:
        return config.pipeline.gender_kind
    kinds = (_published_kind(config), *config.pipeline.kinds)
    return next((kind for kind in kinds if kind in NETWORKS or load_kind(kind).has_user_vectors), None)


def _step_config(config: BaseConfig, step: Step, versions: dict[str, str]) -> BaseConfig:
    # model.version and model.fit are for single jobs; in a pipeline each step sets them.
    model: dict[str, str | None] = {"version": None, "fit": step.fit}
    if step.kind is not None:
        model["kind"] = step.kind
        if step.job not in (training_job(step.kind), "write_shards"):
            model["version"] = versions.get(step.kind)
    changed: dict[str, BaseModel] = {"model": config.model.model_copy(update=model)}
    if step.job in ("train_gender_model", "evaluate_gender"):
        features = "tf_idf" if step.kind is None else config.gender.features
        changed["gender"] = config.gender.model_copy(update={"features": features, "evaluated": (features,)})
    if step.job == "evaluate" and config.split.protocol not in RATING_PROTOCOLS:
        changed["evaluation"] = config.evaluation.model_copy(update={"models": tuple(versions.values())})
    return config.model_copy(update=changed)
