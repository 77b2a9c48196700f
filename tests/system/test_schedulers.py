"""Tests of the DAG of Airflow and the CronJob of Kubernetes as configuration; neither program is needed."""

import os
import shlex

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import (
    ConfigError,
    DataQualityError,
    MissingInputError,
    QualityGateError,
    TrainingError,
    WriteConflictError,
)
from recsys_spark.pipeline.steps import plan_steps
from tests.deployments import cron_job, dag_constants
from tests.documents import ROOT, JobCall, page

# Exit codes that a retry cannot change.
FINAL = {error.exit_code for error in (ConfigError, DataQualityError, MissingInputError, QualityGateError)}


def pod():
    return cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def call_of_the_cron_job() -> JobCall:
    (container,) = pod()["containers"]
    call = JobCall.from_words([*container["command"], *container["args"]])
    assert call is not None
    return call


def test_the_dag_has_the_steps_of_run_pipeline_in_its_order():
    constants = dag_constants()
    steps = plan_steps(load_config(constants["SETTINGS"], {}))
    assert constants["STEPS"] == [(step.job, step.kind) for step in steps]
    assert {step.fit for step in steps} == {"train"}


def test_the_dag_states_every_property_with_a_path_of_the_checkout():
    lines = (ROOT / "conf/spark-cluster.conf").read_text().splitlines()
    properties = dict(line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))
    folder = "recsys_spark/resources"
    expected = {key: text.replace(folder, f"{ROOT}/{folder}") for key, text in properties.items() if folder in text}
    assert dag_constants()["PROPERTIES"] == expected != {}


def test_neither_scheduler_retries_what_cannot_succeed():
    assert dag_constants()["FINAL"] == FINAL
    job = cron_job()["spec"]["jobTemplate"]["spec"]
    refusal, disruption = job["podFailurePolicy"]["rules"]
    assert refusal["action"] == "FailJob"
    assert set(refusal["onExitCodes"]["values"]) == FINAL
    assert refusal["onExitCodes"]["containerName"] == pod()["containers"][0]["name"]
    assert disruption["action"] == "Ignore"
    assert FINAL.isdisjoint({TrainingError.exit_code, WriteConflictError.exit_code})
    # Kubernetes refuses the policy with any other restart policy.
    assert pod()["restartPolicy"] == "Never" and job["backoffLimit"] > 0


def test_the_cron_job_starts_the_pipeline_with_known_settings():
    call = call_of_the_cron_job()
    config = load_config(call.arguments, {})
    assert call.job == "run_pipeline"
    assert plan_steps(config)[0].job == "ingest_plays"
    assert config.tables.root == "/data/tables" and config.source.max_quarantine_share == 0.01


def test_the_files_of_the_cron_job_are_those_of_the_checkout():
    (container,) = pod()["containers"]
    program, *words = container["command"]
    assert program == f"{container['workingDir']}/.venv/bin/spark-submit"
    assert [word for word in words if "/" in word and not (ROOT / word).is_file()] == []
    assert {"name": "PYSPARK_PYTHON", "value": f"{container['workingDir']}/.venv/bin/python"} in container["env"]


def test_the_cron_job_runs_once_at_a_time_within_its_resources():
    manifest = cron_job()
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
    assert len(manifest["spec"]["schedule"].split()) == 5
    (container,) = pod()["containers"]
    resources = container["resources"]
    words = container["command"]
    memory, heap = resources["limits"]["memory"], words[words.index("--driver-memory") + 1]
    # The Python workers need about as much as the heap.
    assert resources["requests"]["memory"] == memory
    assert int(memory.removesuffix("Gi")) >= 2 * int(heap.removesuffix("g"))


def test_every_volume_of_the_cron_job_is_mounted_and_holds_the_tables():
    (container,) = pod()["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert mounts.keys() == volumes.keys()
    config = load_config(call_of_the_cron_job().arguments, {})
    (claim,) = [name for name, volume in volumes.items() if "persistentVolumeClaim" in volume]
    assert os.path.commonpath([str(config.tables.root), mounts[claim]]) == mounts[claim]
    assert os.path.commonpath([str(config.source.path), mounts[claim]]) == mounts[claim]


def test_the_line_of_the_crontab_holds_a_lock_and_starts_the_pipeline():
    blocks = [block.text for block in page("docs/how-to/schedule.md").blocks if block.language == "text"]
    (line,) = [line for text in blocks for line in text.splitlines() if "flock" in line]
    assert len(line.split(None, 5)[:5]) == 5
    words = shlex.split(line.split(None, 5)[5])
    lock = words.index("flock")
    assert words[lock + 1 : lock + 4] == ["-n", "-E", "6"]
    call = JobCall.from_words(words[lock:])
    assert call is not None and call.job == "run_pipeline"
    # The settings of the night lie over those of the machine, which state the place of the tables.
    files = [word for word in call.arguments if word.startswith("conf/")]
    assert files == ["conf/local.yaml", "conf/nightly.yaml"]
    assert load_config(["--config", str(ROOT / files[0])], {}).tables.root is not None
