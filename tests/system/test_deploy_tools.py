"""Tests of deploy/ with Airflow and the SDK of Databricks.

`make check-deploy` fetches both into .venv-deploy; without it the tests are skipped.
"""

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.pipeline.steps import plan_steps
from tests.deployments import AIRFLOW_DAG, bundle, source
from tests.documents import ROOT

PYTHON = ROOT / ".venv-deploy" / "bin" / "python"
# A file with the output of `databricks bundle schema`; without it the command is called, if it is installed.
SCHEMA = "DATABRICKS_BUNDLE_SCHEMA"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason=".venv-deploy is missing: make check-deploy creates it"),
]


def answer(script: str, *arguments: str, content: object = None, **environment: str) -> Any:
    """Return the JSON that a script of tests/ prints last."""
    command = [str(PYTHON), str(ROOT / "tests" / script), *arguments]
    done = subprocess.run(
        command,
        input=json.dumps(content),
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Load the DAG with Airflow, and run its first task for each exit code."""
    folder = tmp_path_factory.mktemp("airflow")
    submit = folder / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text("#!/bin/sh\nexit $CODE\n")
    submit.chmod(0o755)
    found = answer(
        "airflow_tasks.py",
        str(AIRFLOW_DAG.parent),
        *map(str, range(8)),
        HOME=str(folder),
        AIRFLOW_HOME=str(folder),
        AIRFLOW_CONN_SPARK_DEFAULT="spark://yarn",
        RECSYS_HOME=str(ROOT),
        PATH=f"{submit.parent}:{os.environ['PATH']}",
    )
    assert found["errors"] == {}
    (dag,) = found["dags"].values()
    return dict(dag)


def test_airflow_orders_the_tasks_as_run_pipeline(loaded):
    tasks = loaded["tasks"]
    steps = plan_steps(load_config(tasks[0]["application_args"], {}))
    assert [task["application"] for task in tasks] == [str(ROOT / "jobs" / f"{step.job}.py") for step in steps]
    ids = [task["task_id"] for task in tasks]
    assert [task["upstream"] for task in tasks] == [[], *([previous] for previous in ids[:-1])]
    for task, step in zip(tasks, steps, strict=True):
        assert step.kind in (None, load_config(task["application_args"], {}).model.kind)
        assert Path(task["properties_file"]).is_file() and Path(task["conf"]["spark.files"]).is_file()


def test_airflow_runs_one_dag_at_a_time(loaded):
    assert loaded["max_active_runs"] == 1 and loaded["catchup"] is False
    assert all(task["retries"] > 0 for task in loaded["tasks"])


def test_airflow_retries_only_what_a_retry_can_change(loaded):
    failed, final = "AirflowException", "AirflowFailException"
    assert list(loaded["outcomes"].values()) == [None, failed, final, final, final, failed, failed, final]


@pytest.mark.parametrize("target", ["dev", "prod"])
def test_the_job_of_the_bundle_has_only_keys_and_values_of_the_platform(target):
    job = bundle(target).job
    assert answer("bundle_types.py", content=job) == job


def test_an_unknown_key_is_found():
    job = bundle("dev").job
    task = {**job["tasks"][0], "max_retry": 1}
    wrong = {**job, "tasks": [task, *job["tasks"][1:]]}
    assert answer("bundle_types.py", content=wrong) != wrong


def test_the_bundle_fits_the_published_schema(tmp_path):
    file, program = os.environ.get(SCHEMA), shutil.which("databricks")
    if file is None:
        if program is None:
            pytest.skip(f"needs the command databricks, or {SCHEMA}=FILE with the output of `databricks bundle schema`")
        printed = subprocess.run([program, "bundle", "schema"], capture_output=True, text=True, check=True).stdout
        (tmp_path / "schema.json").write_text(printed, encoding="utf-8")
        file = str(tmp_path / "schema.json")
    content = source()
    assert answer("bundle_schema.py", file, content=content) == []
    wrong = copy.deepcopy(content)
    del wrong["resources"]["jobs"]["recommender"]["tasks"][0]["python_wheel_task"]["package_name"]
    assert answer("bundle_schema.py", file, content=wrong) != []
