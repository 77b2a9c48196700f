"""`recsys doctor`: findings, remedies and exit codes."""

import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.interface import checks
from recsys_spark.interface.commands import main

Capture = pytest.CaptureFixture[str]


class Version(NamedTuple):
    """Output of `java -version`."""

    stderr: str
    stdout: str = ""


def lines(capsys: Capture) -> dict[str, str]:
    """Return check -> its line."""
    found = capsys.readouterr().out.splitlines()
    return {line[9:23].strip(): line for line in found}


def test_a_sound_environment_passes_and_nothing_is_created(tmp_path: Path, capsys: Capture) -> None:
    assert main(["doctor", "--no-spark", "--tables.root", str(tmp_path / "new" / "tables")]) == 0
    found = lines(capsys)
    assert {"python", "libraries", "spark", "java", "delta jars", "torch", "petastorm", "gpu"} <= set(found)
    assert {"configuration", "disk tables", "disk files", "tables.root", "files.root"} <= set(found)
    assert all(line.startswith(("ok", "warning")) for line in found.values()) and "spark start" not in found
    assert list(tmp_path.iterdir()) == []


def test_a_root_beneath_a_file_fails_with_a_remedy(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["doctor", "--no-spark", "--tables.root", str(tmp_path / "file" / "tables")]) == 2
    assert lines(capsys)["tables.root"].endswith(": set tables.root to another folder")


def test_wrong_settings_are_a_finding(capsys: Capture) -> None:
    assert main(["doctor", "--no-spark", "--run.sed", "1"]) == 2
    assert "run.seed" in lines(capsys)["configuration"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "ok"),
        ('java version "21" 2023-09-19', "ok"),
        ('java version "1.8.0_292"', "failed"),
        ('openjdk version "11.0.2" 2019-01-15', "failed"),
        ("", "failed"),
    ],
)
def test_java_is_17_or_21(text: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: Version(text))
    found = checks.check_java()
    assert found.state == state and ("JDK 17 or 21" in found.remedy) == (state == "failed")


def test_a_missing_java_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert checks.check_java().found == f"{tmp_path}/bin/java does not start"


def test_missing_libraries_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda name: (_ for _ in ()).throw(PackageNotFoundError(name)))
    assert checks.check_spark_libraries().state == "failed"
    assert checks.check_spark_libraries().remedy.startswith("run python -m pip install ")
    assert checks.check_torch().state == checks.check_petastorm().state == "warning"
    assert checks.check_libraries().state == "failed"


def test_the_client_of_mlflow_is_missed_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda name: (_ for _ in ()).throw(PackageNotFoundError(name)))
    flags = ["--tables.root", "data", "--mlflow.tracking_uri", "sqlite:///m.db"]
    (found,) = checks.check_mlflow(load_config(flags, {}))
    assert (found.name, found.state) == ("mlflow", "failed") and found.remedy.startswith("run ")
    assert [*checks.check_mlflow(load_config(flags[:2], {})), *checks.check_mlflow(None)] == []


def test_lost_jars_name_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "pinned_jars", lambda: {"delta-none.jar": "0" * 64})
    found = checks.check_delta_jars()
    assert (found.state, found.remedy) == ("failed", "run python -m recsys_spark.runtime.delta_jars")


def test_a_full_disk_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "FULL", 1 << 70)
    monkeypatch.setattr(checks, "SCARCE", 1 << 70)
    assert [check.state for check in checks.check_disk(None)] == ["failed"]
