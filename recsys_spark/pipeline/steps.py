"""The order of the jobs, in one list."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module

from pydantic import BaseModel
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import NETWORKS, training_job
from recsys_spark.gender.labelled_users import has_enough_labels
from recsys_spark.models.kind import load_kind
from recsys_spark.models.versions import kind_of
from recsys_spark.runtime.job import Job, JobRun, Report

__all__ = ["Step", "plan_steps", "run_steps", "start_job", "training_steps"]

log = logging.getLogger(__name__)

GENDER = "gender"


@dataclass(frozen=True)
class Step:
    """One job; for those that work on a model, of one kind, and for those that train, on what."""

    job: str
    kind: str | None = None
    fit: str = "train"

    def __str__(self) -> str:
        return " ".join(part for part in (self.job, self.kind, "" if self.fit == "train" else self.fit) if part)


def plan_steps(config: BaseConfig) -> list[Step]:
    """All steps of this configuration, from `pipeline.from` on.

    Raises ConfigError naming the steps when there is none of that name.
    """
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
    for kind in config.pipeline.kinds:
        if kind in NETWORKS or load_kind(kind).has_item_vectors:
            steps.append(Step("build_item_similarity", kind))
        steps.append(Step("build_recommendations", kind))
    steps.append(Step("publish_model", _published(config)))
    if config.pipeline.gender:
        source = _described_by(config)
        steps += [Step("train_gender_model", source), Step("predict_gender", GENDER)]
        if split:
            steps.append(Step("evaluate_gender", source))
        steps.append(Step("publish_model", GENDER))
    start = config.pipeline.start
    if start is None:
        return steps
    names = [step.job for step in steps]
    if start not in names:
        raise ConfigError(f"pipeline.from: no step {start!r}; there are {', '.join(dict.fromkeys(names))}")
    return steps[names.index(start) :]


def start_job(spark: SparkSession, name: str, config: BaseConfig) -> Report:
    """Runs a job by name in a session; raises what it raises."""
    job: Job = import_module(f"recsys_spark.jobs.{name}").job
    return job(spark, config)


def training_steps(kinds: Iterable[str], fit: str) -> Iterator[Step]:
    """What trains these kinds, on what `fit` says."""
    for kind in kinds:
        if kind in NETWORKS:
            yield Step("write_shards", kind, fit)
        yield Step(training_job(kind), kind, fit)


def run_steps(run: JobRun, steps: list[Step]) -> None:
    """Runs each step in this run's session; the first failure ends the pipeline.

    Steps behind a training step work on the version that it made, which need not be the newest of its kind.
    """
    versions: dict[str, str] = {}
    for number, step in enumerate(steps, start=1):
        log.info("step %d of %d: %s", number, len(steps), step)
        if step.job == "train_gender_model" and not has_enough_labels(run.tables, run.config.gender):
            log.warning("no genders are predicted: too few profiles state one")
            break
        report = start_job(run.spark, step.job, _for_step(run.config, step, versions))
        if report.model_version is not None:
            versions[kind_of(report.model_version)] = report.model_version
        run.report.outputs |= report.outputs
        run.count(**{f"{step}.{name}".replace(" ", "."): number for name, number in report.rows.items()})


def _published(config: BaseConfig) -> str:
    """The kind that `model.kind` names where the pipeline trains it, else the last one it trains."""
    kinds = config.pipeline.kinds
    return config.model.kind if config.model.kind in kinds else kinds[-1]


def _described_by(config: BaseConfig) -> str | None:
    """The kind whose vectors genders are learnt from: the published one if it has any, else another of the pipeline;
    None where only the items themselves are left.
    """
    kinds = (_published(config), *config.pipeline.kinds)
    return next((kind for kind in kinds if kind in NETWORKS or load_kind(kind).has_user_vectors), None)


def _for_step(config: BaseConfig, step: Step, versions: dict[str, str]) -> BaseConfig:
    # A pinned version belongs to whoever runs one job by hand, as does a fit.
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
