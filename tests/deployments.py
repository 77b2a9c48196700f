"""Files of deploy/: the bundle of Databricks with values for its references, the steps of the DAG, the CronJob."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from tests.documents import ROOT

__all__ = ["AIRFLOW_DAG", "BUNDLE", "CRON_JOB", "REFERENCE", "Bundle", "bundle", "cron_job", "dag_constants", "flags"]

BUNDLE = ROOT / "deploy" / "databricks"
AIRFLOW_DAG = ROOT / "deploy" / "airflow" / "recsys_spark_dag.py"
CRON_JOB = ROOT / "deploy" / "kubernetes" / "cronjob.yaml"
REFERENCE = re.compile(r"\$\{([^}]+)\}")
# Values of what Databricks or the command line fills in.
GIVEN = {
    "workspace.file_path": str(BUNDLE),
    "workspace.current_user.userName": "ann@example.com",
    "bundle.name": "recsys_spark",
    "var.notification_address": "owners@example.com",
    "var.service_principal": "00000000-0000-0000-0000-000000000000",
}


@dataclass(frozen=True)
class Bundle:
    """The bundle of one target, without references."""

    content: dict[str, Any]

    @property
    def job(self) -> dict[str, Any]:
        """Return the only job."""
        (job,) = self.content["resources"]["jobs"].values()
        return dict(job)

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks of the job, in the order of the file."""
        return list(self.job["tasks"])

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        """Return the clusters of the job by their keys."""
        return {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in self.job["job_clusters"]}

    def config(self, task: Mapping[str, Any]) -> BaseConfig:
        """Return the configuration of a task, as Databricks starts its command."""
        return load_config(flags(task["python_wheel_task"]["named_parameters"]), {})


def flags(parameters: Mapping[str, str]) -> list[str]:
    """Return the arguments that Databricks makes of named parameters."""
    return [f"--{name}={value}" for name, value in parameters.items()]


@cache
def source() -> dict[str, Any]:
    """Return databricks.yml with the files that it includes; the references stay."""
    content: dict[str, Any] = yaml.safe_load((BUNDLE / "databricks.yml").read_text(encoding="utf-8"))
    for pattern in content["include"]:
        files = sorted(BUNDLE.glob(pattern))
        assert files, pattern
        for file in files:
            part = yaml.safe_load(file.read_text(encoding="utf-8"))
            assert list(part) == ["resources"]
            content.setdefault("resources", {}).setdefault("jobs", {}).update(part["resources"]["jobs"])
    return content


@cache
def bundle(target: str) -> Bundle:
    """Return the bundle of a target with values for all references; KeyError for one without a value."""
    content = source()
    stated = content["targets"][target].get("variables", {})
    defaults = {name: variable["default"] for name, variable in content["variables"].items() if "default" in variable}
    values = {
        **GIVEN,
        "bundle.target": target,
        **{f"var.{name}": value for name, value in {**defaults, **stated}.items()},
    }
    unknown = {name for name in values if name.startswith("var.")} - {f"var.{name}" for name in content["variables"]}
    assert unknown == set()
    return Bundle(_filled(content, values))


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    if isinstance(node, str):
        whole = REFERENCE.fullmatch(node)
        if whole is not None:
            return _filled(values[whole[1]], values)
        return REFERENCE.sub(lambda found: str(values[found[1]]), node)
    return node


def dag_constants() -> dict[str, Any]:
    """Return the settings and the steps of the DAG, read without Airflow."""
    tree = ast.parse(AIRFLOW_DAG.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"HOME": str(ROOT)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call):
            names[ast.unparse(node.targets[0])] = eval(ast.unparse(node.value), {"__builtins__": {}}, names)
    return names


def cron_job() -> dict[str, Any]:
    """Return the manifest of the CronJob."""
    return dict(yaml.safe_load(CRON_JOB.read_text(encoding="utf-8")))
