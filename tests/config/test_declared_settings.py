"""Settings that jobs declare, compared with those that their code uses."""

import ast
from collections.abc import Iterable

import pytest

from recsys_spark.config.job_help import COMMON_SECTIONS
from recsys_spark.core.names import NETWORKS, training_job
from recsys_spark.interface.registry import find_job, job_names
from recsys_spark.reproduction.runner import SHARED_SECTIONS
from tests.config.settings_use import Definition, tree_of, used_settings

# (job, key or section) -> the reason why the job uses it without a declaration.
UNDECLARED = {
    ("benchmark", "gender"): "the measure of classifiers has fixed settings, so that results are comparable",
    ("benchmark", "sample"): "measures generate data of fixed settings; benchmark.scale sets the size",
    ("evaluate", "model.fit"): "a value other than the default is refused",
    ("run_pipeline", "query"): "questions belong to single jobs; a pipeline has no use for them",
    ("reproduce", "models"): "an entry sets the settings of its model",
}
# The modules that run other jobs by name.
RUNNERS = {"run_pipeline": "recsys_spark.pipeline.steps"}


def jobs_run_by(job: str) -> set[str]:
    """Return a job and those that it runs by name."""
    tree = tree_of(RUNNERS[job]) if job in RUNNERS else None
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} if tree else set()
    training = {training_job(kind) for kind in ("als", next(iter(NETWORKS)))} if tree else set()
    return {job, *training, *(name for name in job_names() if name in texts)}


def uses_of(job: str) -> dict[str, set[str]]:
    """Return key or section -> its uses, without the sections of every job."""
    used = used_settings([Definition(f"jobs.{name}", "job") for name in jobs_run_by(job)])
    return {key: places for key, places in used.items() if key.partition(".")[0] not in COMMON_SECTIONS}


def overlap(one: str, other: str) -> bool:
    """Return True if one key or section contains the other, or is the same."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def without(keys: Iterable[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    return sorted(key for key in keys if not any(overlap(key, other) for other in known))


@pytest.mark.parametrize("job", job_names())
def test_a_job_declares_the_settings_that_it_uses(job: str) -> None:
    used = uses_of(job)
    excused = [key for other, key in UNDECLARED if other == job]
    missing = without(used, (*find_job(job).settings, *excused))
    assert {key: sorted(used[key]) for key in missing} == {}


@pytest.mark.parametrize("job", sorted(set(job_names()) - {"reproduce"}))
def test_a_job_uses_the_settings_that_it_declares(job: str) -> None:
    assert without(find_job(job).settings, uses_of(job)) == []


def test_reproduce_declares_the_sections_that_its_entries_share() -> None:
    assert {*find_job("reproduce").settings, *COMMON_SECTIONS} >= {*SHARED_SECTIONS}


@pytest.mark.parametrize(("job", "key"), UNDECLARED)
def test_every_exception_is_needed(job: str, key: str) -> None:
    assert without([key], find_job(job).settings) == [key] and without([key], uses_of(job)) == []


def test_uses_are_found_through_calls_variables_parameters_and_properties() -> None:
    used = used_settings([Definition("jobs.train_torch_model", "job")])
    assert {"model.kind", "model.fit", "split.protocol", "run.seed", "models", "training.processes"} <= used.keys()
    assert "files.root" in used and "search.trials" not in used
