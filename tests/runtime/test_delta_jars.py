"""Delta jars of the installed Spark: exactly the pinned ones."""

import hashlib
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from recsys_spark.core.errors import RecsysError
from recsys_spark.runtime import delta_jars

JAR = "delta-spark_2.13-9.jar"


@pytest.fixture
def pins(tmp_path, monkeypatch):
    """Return the pin of one jar, for a Spark in tmp_path without it.

    The resolver delivers the jar.
    """
    (tmp_path / "jars").mkdir()
    (tmp_path / "ivy").mkdir()
    (tmp_path / "ivy" / f"io.delta_{JAR}").write_bytes(b"jar")
    monkeypatch.setattr(delta_jars, "_resolve", lambda spark_home, work: tmp_path / "ivy")
    return {JAR: hashlib.sha256(b"jar").hexdigest()}


def test_the_installed_spark_has_the_pinned_jars_and_no_others():
    spec = find_spec("pyspark")
    assert spec is not None
    folder = Path(spec.origin or "").parent / "jars"
    assert delta_jars.invalid_jars(folder, delta_jars.pinned_jars()) == []
    assert {jar.name for jar in folder.glob("*delta-s*.jar")} == set(delta_jars.pinned_jars())


def test_the_java_and_python_parts_of_delta_have_one_version():
    assert delta_jars.COORDINATES.endswith(f":{version('delta-spark')}")
    assert all(name.endswith(f"-{version('delta-spark')}.jar") for name in delta_jars.pinned_jars())


@pytest.mark.parametrize("before", [{}, {JAR: b"ja"}, {"delta-spark_2.13-8.jar": b"old"}])
def test_jars_are_brought_to_the_pinned_state_once(tmp_path, monkeypatch, pins, before):
    for name, content in {**before, "spark-core.jar": b"spark"}.items():
        (tmp_path / "jars" / name).write_bytes(content)
    assert delta_jars.ensure_jars(tmp_path, pins) == [JAR]
    after = {file.name: file.read_bytes() for file in (tmp_path / "jars").iterdir()}
    assert after == {JAR: b"jar", "spark-core.jar": b"spark"}
    monkeypatch.setattr(delta_jars, "_resolve", None)
    assert delta_jars.ensure_jars(tmp_path, pins) == []


def test_a_jar_of_other_bytes_is_refused_and_the_old_one_stays(tmp_path, pins):
    kept = tmp_path / "jars" / "delta-spark_2.13-8.jar"
    kept.write_bytes(b"old")
    with pytest.raises(RecsysError, match=re.escape(JAR) + " .* is pinned"):
        delta_jars.ensure_jars(tmp_path, dict.fromkeys(pins, "0" * 64))
    assert list((tmp_path / "jars").iterdir()) == [kept]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, pins):
    source = tmp_path / "ivy" / f"io.delta_{JAR}"
    with pytest.raises(RecsysError, match="cannot be written"):
        delta_jars.install_jar(source, tmp_path / "nowhere" / JAR, pins[JAR])


def test_a_failed_resolution_names_the_remedies(tmp_path, capsys):
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text("#!/bin/sh\necho no route to host; exit 1")
    submit.chmod(0o755)
    with pytest.raises(RecsysError, match="ivySettings") as error:
        delta_jars.ensure_jars(tmp_path, delta_jars.pinned_jars())
    assert all(name in str(error.value) for name in delta_jars.pinned_jars())
    assert "no route to host" in capsys.readouterr().err
