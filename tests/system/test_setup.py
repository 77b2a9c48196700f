"""Tests of the lock files, the version ranges of setup.py, and the wheel."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from distutils.core import run_setup
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
JOBS = sorted(file.stem for file in (ROOT / "jobs").glob("[!_]*.py"))


def entries(kind: str) -> list[str]:
    """Return the entries of a lock file, one line each, without comments."""
    text = (ROOT / "requirements" / f"{kind}.lock").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", "").splitlines()


def versions(kind: str) -> set[tuple[str, str]]:
    """Return the pairs (package, version) of a lock file.

    A package has two versions if Python 3.11 and 3.12 need different ones.
    """
    pairs = [entry.split()[0].split("==") for entry in entries(kind)]
    return {(canonicalize_name(name), version) for name, version in pairs}


@pytest.mark.parametrize("kind", ["uv", "run", "test", "docs", "deploy", "dbt"])
def test_a_lock_pins_every_package_by_version_and_hash_and_names_no_address(kind):
    assert entries(kind)
    for entry in entries(kind):
        assert "--hash=sha256:" in entry, entry
        assert entry.split()[0].count("==") == 1, entry
    text = (ROOT / "requirements" / f"{kind}.lock").read_text()
    assert "://" not in text
    assert "index-url" not in text


def test_tests_run_on_the_versions_that_run_uses():
    assert versions("run") < versions("test")


def test_the_ranges_of_setup_contain_the_locked_versions(monkeypatch):
    monkeypatch.chdir(ROOT)
    package: Any = run_setup("setup.py", stop_after="init")
    extras = package.extras_require
    needed = {
        "run": [*package.install_requires, *extras["spark"], *extras["torch"], *extras["cli"]],
        "test": extras["test"],
    }
    for kind, texts in needed.items():
        for requirement in map(Requirement, texts):
            wanted = canonicalize_name(requirement.name)
            found = [version for name, version in versions(kind) if name == wanted]
            assert found, requirement
            assert all(map(requirement.specifier.contains, found)), requirement


def test_every_import_is_of_a_package_that_run_installs():
    imported = set()
    for file in [*(ROOT / "recsys_spark").rglob("*.py"), *(ROOT / "jobs").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    lines = (ROOT / "requirements" / "run.in").read_text().splitlines()
    wanted = {canonicalize_name(Requirement(line).name) for line in lines if not line.startswith("#")}
    # mlflow is an optional extra, imported only if mlflow.tracking_uri is set; the libraries that the benchmark
    # compares with have an environment of their own.
    own = {*sys.stdlib_module_names, "recsys_spark", "mlflow", "replay", "implicit"}
    makers = packages_distributions()
    for name in imported - own:
        assert wanted & set(map(canonicalize_name, makers.get(name, []))), f"{name} is missing in run.in"


def test_the_wheel_carries_jobs_commands_and_resources(tmp_path):
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("jobs", "recsys_spark"):
        shutil.copytree(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (commands,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    page = {f"item_map/{file.name}" for file in (ROOT / "recsys_spark/resources/item_map").iterdir()}
    modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "recsys_spark").rglob("*.py")}
    resources = {f"recsys_spark/resources/{name}" for name in ("log4j2.properties", "delta-jars.sha256", *page)}
    assert modules | resources | {f"recsys_spark/jobs/{job}.py" for job in JOBS} <= names
    assert commands.split("\n")[1 : len(JOBS) + 2] == [
        "recsys = recsys_spark.interface.commands:entry_point",
        *(f"recsys-{job.replace('_', '-')} = recsys_spark.jobs.{job}:entry_point" for job in JOBS),
    ]


def test_the_installed_jobs_are_found_from_anywhere(tmp_path):
    code = "import importlib.util as u, sys; assert all(u.find_spec(name) for name in sys.argv[1:])"
    names = [f"recsys_spark.jobs.{job}" for job in JOBS]
    subprocess.run([sys.executable, "-c", code, *names], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["spark-local", "spark-cluster"])
def test_a_properties_file_states_each_key_once_and_why(name):
    text = (ROOT / "conf" / f"{name}.conf").read_text()
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    keys = [line.split()[0] for block in blocks for line in block if not line.startswith("#")]
    assert all(block[0].startswith("#") for block in blocks)
    assert len(keys) == len(set(keys))
    assert {"spark.sql.extensions", "spark.sql.catalog.spark_catalog"} <= set(keys)


@pytest.mark.slow
def test_spark_submit_with_the_local_properties_has_delta_and_is_quiet(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        f"spark.range(3).write.format('delta').save('{tmp_path}/table')\n"
        f"print(spark.table('delta.`{tmp_path}/table`').count())\n"
        "print(spark.conf.get('spark.sql.session.timeZone'))\n"
    )
    folder = Path(sys.executable).parent
    command = [str(folder / "spark-submit"), "--properties-file", "conf/spark-local.conf", str(script)]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment.pop("SPARK_HOME", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "3\nUTC\n"
    assert [line for line in done.stderr.splitlines() if "incubator" not in line] == []
