"""Archive of Java classes: made once, whole, and used only for the JDK and the jars that it was made with."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import RecsysError
from recsys_spark.runtime import class_archive


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Return the place of the archive of a Spark in tmp_path."""
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark.jar").write_bytes(b"jar")
    (tmp_path / "__init__.py").touch()
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(class_archive, "find_spec", lambda name: spec)
    monkeypatch.delenv(class_archive.DRIVER_OPTIONS, raising=False)
    return class_archive.archive_file()


def fake_run(monkeypatch, code, content):
    """Let the workload end with an exit code, and its JVM write `content`."""
    calls = []

    def run(command, env, **_):
        calls.append(command)
        if content is not None:
            Path(env[class_archive.DRIVER_OPTIONS].partition("=")[2]).write_bytes(content)
        return subprocess.CompletedProcess(command, code, stdout="the end of its output")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_an_archive_is_made_once_and_then_used(archive, monkeypatch, capsys):
    calls = fake_run(monkeypatch, 0, b"classes")
    assert class_archive.archive_option() == ""
    assert class_archive.main() == class_archive.main() == 0
    assert len(calls) == 1 and calls[0][0] == sys.executable
    assert archive.read_bytes() == b"classes" and str(archive) in capsys.readouterr().out
    assert f"-XX:SharedArchiveFile={archive} " in class_archive.archive_option()
    monkeypatch.setenv(class_archive.DRIVER_OPTIONS, "-XX:ArchiveClassesAtExit=other.jsa")
    assert class_archive.archive_option() == "", "a JVM cannot use one archive and write another"


def test_other_jars_need_another_archive_which_replaces_the_first(archive, monkeypatch):
    fake_run(monkeypatch, 0, b"classes")
    class_archive.main()
    (archive.parent / "jars" / "delta.jar").write_bytes(b"new")
    assert class_archive.archive_option() == ""
    class_archive.main()
    assert not archive.exists() and class_archive.archive_option() != ""


@pytest.mark.parametrize(("code", "content"), [(1, b"classes"), (0, None)])
def test_a_failed_run_leaves_no_archive(archive, monkeypatch, capsys, code, content):
    fake_run(monkeypatch, code, content)
    assert class_archive.main() == RecsysError.exit_code
    assert "class_archive: the " in capsys.readouterr().err
    assert sorted(file.name for file in archive.parent.iterdir()) == ["__init__.py", "jars"]


def test_without_java_nothing_is_used_and_the_remedy_is_named(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert class_archive.archive_option() == "" and class_archive.main() == RecsysError.exit_code
    assert "JDK 17 or 21" in capsys.readouterr().err


def test_the_workload_has_valid_settings():
    config = load_config(["--tables.root", "tables", *class_archive.WORKLOAD], {})
    assert config.pipeline.kinds == ("als",) and config.spark.small_data
