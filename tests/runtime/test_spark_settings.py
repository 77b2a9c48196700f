"""Settings of local sessions and jobs, compared with the property files for spark-submit."""

from pathlib import Path

import pytest

from recsys_spark.config.load import config_from
from recsys_spark.runtime.delta_jars import COORDINATES
from recsys_spark.runtime.spark_settings import (
    COMPILE_LARGE_METHODS,
    DELTA,
    JOB_SETTINGS,
    WORKER_ENVIRONMENT,
    local_settings,
)

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path.name for path in CONF.glob("spark-*.conf"))
ENVIRONMENT = "spark.executorEnv."
# Sizes depend on the machines, and the options of the JVM on relative paths.
OF_EACH_FILE = {"spark.driver.memory", "spark.sql.shuffle.partitions", "spark.driver.extraJavaOptions"}


def properties(name: str) -> dict[str, str]:
    """Return the properties of a file in conf/."""
    lines = (CONF / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return {key: value.strip() for key, value in pairs}


def test_there_are_property_files() -> None:
    assert FILES == ["spark-cluster.conf", "spark-local.conf", "spark-standalone.conf"]


@pytest.mark.parametrize("name", FILES)
def test_property_files_agree_with_the_settings_of_sessions(name: str) -> None:
    found = properties(name)
    session = local_settings(config_from({"tables.root": "unused"})) | JOB_SETTINGS
    shared = found.keys() & session.keys() - OF_EACH_FILE
    assert {key: found[key] for key in shared} == {key: session[key] for key in shared}
    assert DELTA.keys() <= shared
    assert found.get("spark.jars.packages", COORDINATES) == COORDINATES


@pytest.mark.parametrize("name", FILES)
def test_workers_have_one_environment_under_every_property_file(name: str) -> None:
    found = properties(name)
    environment = {key.removeprefix(ENVIRONMENT): found[key] for key in found if key.startswith(ENVIRONMENT)}
    # Spark sets the OpenMP threads from the cores of a task.
    assert environment == {key: value for key, value in WORKER_ENVIRONMENT.items() if key != "OMP_NUM_THREADS"}


@pytest.mark.parametrize("name", FILES)
def test_every_jvm_compiles_large_methods(name: str) -> None:
    found = properties(name)
    # The driver of local[*] is also the executor.
    roles = ["driver"] if found.get("spark.master", "").startswith("local") else ["driver", "executor"]
    for role in roles:
        assert COMPILE_LARGE_METHODS in found[f"spark.{role}.extraJavaOptions"].split()
