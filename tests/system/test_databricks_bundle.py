"""Tests of the bundle of Databricks: settings, order, clusters and references of its tasks; nothing is deployed."""

import json
import re
from distutils.core import run_setup
from typing import Any

import pytest
from packaging.requirements import Requirement

from recsys_spark.core.names import NETWORKS
from recsys_spark.pipeline.steps import plan_steps
from tests.deployments import BUNDLE, GIVEN, REFERENCE, Bundle, bundle, source
from tests.documents import ROOT

TARGETS = ("dev", "prod")
# Exit code 7 of publish_model is a decision, which a repetition only delays.
NOT_REPEATED = {"publish_model_mult_vae"}


@pytest.fixture(params=TARGETS)
def deployed(request: pytest.FixtureRequest) -> Bundle:
    """Return the bundle of a target."""
    return bundle(request.param)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the distribution that setup.py describes."""
    monkeypatch.chdir(ROOT)
    return run_setup("setup.py", stop_after="init")


def upstream(task: dict[str, Any]) -> list[str]:
    return [dependency["task_key"] for dependency in task.get("depends_on", [])]


def test_the_tasks_are_the_steps_of_run_pipeline_in_its_order(deployed):
    first = deployed.tasks[0]
    steps = [str(step).replace(" ", "_") for step in plan_steps(deployed.config(first))]
    keys = [task["task_key"] for task in deployed.tasks]
    assert keys == steps
    # Each task waits for the one before, so no other order is possible.
    assert [upstream(task) for task in deployed.tasks] == [[], *([key] for key in keys[:-1])]


def test_each_task_starts_the_job_of_its_step_with_known_settings(deployed):
    for task, step in zip(deployed.tasks, plan_steps(deployed.config(deployed.tasks[0])), strict=True):
        config = deployed.config(task)
        assert task["python_wheel_task"]["entry_point"] == f"recsys-{step.job.replace('_', '-')}"
        assert step.kind is None or config.model.kind == step.kind
        assert config.model.fit == step.fit
        assert config.tables.schema_name is not None and str(config.files.root).startswith("/Volumes/")


def test_every_entry_point_is_a_command_of_the_wheel(deployed, package):
    commands = {line.split(" = ")[0] for line in package.entry_points["console_scripts"]}
    assert {task["python_wheel_task"]["entry_point"] for task in deployed.tasks} <= commands
    assert {task["python_wheel_task"]["package_name"] for task in deployed.tasks} == {package.get_name()}


def test_every_task_installs_the_wheel_and_the_libraries_of_networks(deployed, package):
    # The path of a library is relative to the file that states it.
    wheel = package.get_name()
    for task in deployed.tasks:
        first, *others = task["libraries"]
        folder = (BUNDLE / "resources" / first["whl"]).resolve().parent
        assert folder == ROOT / "dist" and first["whl"].endswith(f"/{wheel}-*.whl")
        stated = {Requirement(library["pypi"]["package"]) for library in others}
        assert stated == set(map(Requirement, package.extras_require["torch"]))


def test_the_wheel_is_built_by_make_at_the_root():
    (artifact,) = source()["artifacts"].values()
    assert (BUNDLE / artifact["path"]).resolve() == ROOT
    target = artifact["build"].removeprefix("make ")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_only_the_training_of_networks_uses_the_gpu_cluster(deployed):
    on_gpu = [task for task in deployed.tasks if task["job_cluster_key"] == "gpu"]
    assert [deployed.config(task).model.kind in NETWORKS for task in on_gpu] == [True]
    assert [deployed.config(task).training.use_gpu for task in deployed.tasks] == [
        task in on_gpu for task in deployed.tasks
    ]
    assert {task["job_cluster_key"] for task in deployed.tasks} == set(deployed.clusters)


def test_the_gpu_cluster_keeps_its_size(deployed):
    cluster = deployed.clusters["gpu"]
    assert cluster["spark_conf"]["spark.dynamicAllocation.enabled"] == "false"
    assert "autoscale" not in cluster
    assert cluster["num_workers"] == 0 and cluster["spark_conf"]["spark.master"].startswith("local[")
    (task,) = [task for task in deployed.tasks if task["job_cluster_key"] == "gpu"]
    training = deployed.config(task).training
    # A cluster without workers trains in the driver.
    assert training.local and training.processes == 1


def test_clusters_are_dedicated_and_of_one_runtime(deployed):
    clusters = deployed.clusters
    assert {cluster["data_security_mode"] for cluster in clusters.values()} == {"SINGLE_USER"}
    assert clusters["gpu"]["spark_version"] == clusters["cpu"]["spark_version"].replace("cpu", "gpu")


def test_repetitions_are_for_tasks_that_they_can_help(deployed):
    assert {task["task_key"] for task in deployed.tasks if task["max_retries"] == 0} == NOT_REPEATED
    assert all(task["max_retries"] <= 1 for task in deployed.tasks)


def test_one_run_at_a_time_on_a_schedule_that_dev_pauses(deployed):
    job = deployed.job
    assert job["max_concurrent_runs"] == 1
    assert len(job["schedule"]["quartz_cron_expression"].split()) == 6
    assert source()["targets"]["dev"]["presets"]["trigger_pause_status"] == "PAUSED"
    assert "presets" not in source()["targets"]["prod"] and job["schedule"]["pause_status"] == "UNPAUSED"


def test_the_report_is_a_file_of_the_volume(deployed):
    config = deployed.config(deployed.tasks[-1])
    assert str(config.report.path).startswith(f"{config.files.root}/")


def test_every_variable_is_described_and_used_and_has_a_value_in_dev():
    content = source()
    text = json.dumps({key: value for key, value in content.items() if key != "variables"})
    used = {name.removeprefix("var.") for name in REFERENCE.findall(text) if name.startswith("var.")}
    assert used == set(content["variables"])
    assert all(variable["description"].endswith(".") for variable in content["variables"].values())
    defaults = {name for name, variable in content["variables"].items() if "default" in variable}
    assert used - defaults - set(content["targets"]["dev"]["variables"]) == set()
    # Those of prod are named in the file and on the page.
    stated = {f"var.{name}" for name in used - defaults - set(content["targets"]["prod"]["variables"])}
    assert stated == {name for name in GIVEN if name.startswith("var.")}


def test_merge_keys_name_an_anchor():
    # The command line of Databricks refuses a mapping in place of the anchor, which PyYAML accepts.
    for file in BUNDLE.rglob("*.yml"):
        assert re.findall(r"<<: *[^*\s].*", file.read_text()) == []


def test_the_permissions_name_groups_and_the_account_that_runs_the_job():
    prod = bundle("prod").content["targets"]["prod"]
    assert [entry["level"] for entry in prod["permissions"]] == ["CAN_MANAGE", "CAN_VIEW", "CAN_VIEW"]
    assert prod["run_as"] == {"service_principal_name": prod["permissions"][2]["service_principal_name"]}
