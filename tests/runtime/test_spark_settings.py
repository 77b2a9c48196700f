"""Settings of local sessions and jobs, compared with the property files for spark-submit."""

import os
import tempfile
from collections.abc import Iterator
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
    user_folder,
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


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a new folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    user_folder.cache_clear()
    yield tmp_path
    user_folder.cache_clear()


def test_the_folder_of_a_user_is_private(temporary: Path) -> None:
    folder = temporary / f"recsys_spark-{os.getuid()}"
    assert user_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    # An earlier release made it readable.
    folder.chmod(0o755)
    user_folder.cache_clear()
    assert user_folder() == folder and folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("planted", ["a link", "a file", "writable", "of another user"])
def test_a_planted_folder_is_not_used(temporary: Path, monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    folder, elsewhere = temporary / f"recsys_spark-{os.getuid()}", temporary / "elsewhere"
    elsewhere.mkdir()
    if planted == "a link":
        folder.symlink_to(elsewhere)
    elif planted == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777 if planted == "writable" else 0o755)
    if planted == "of another user":
        folder = temporary / f"recsys_spark-{os.getuid() + 1}"
        folder.mkdir()
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    used = user_folder()
    assert used not in (folder, elsewhere) and used.parent == temporary
    assert used.stat().st_mode & 0o777 == 0o700
    assert list(elsewhere.iterdir()) == []
    assert user_folder() == used, "one folder a process"
