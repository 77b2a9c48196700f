"""Mistakes that a job reports without a session."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from recsys_spark.runtime import execution
from recsys_spark.runtime.job import Job

ErrorOf = Callable[..., tuple[int, str]]


@pytest.fixture
def error_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> ErrorOf:
    """Return a function that runs a job without a session: its exit code and error."""

    def started(_: object) -> None:
        raise RuntimeError("a session was started")

    def run(name: str, *flags: str) -> tuple[int, str]:
        monkeypatch.setattr(execution, "spark_session", started)
        job: Job = import_module(f"recsys_spark.jobs.{name}").job
        code = job.main(["--tables.root", str(tmp_path / "tables"), *flags])
        return code, str(json.loads(capsys.readouterr().out.splitlines()[-1])["error"])

    return run


@pytest.mark.parametrize("job", ["ingest_plays", "run_pipeline"])
def test_a_missing_source_path_is_reported_before_spark(error_of: ErrorOf, tmp_path: Path, job: str) -> None:
    (tmp_path / "raw").mkdir()
    flags = ("--source.format", "plays", "--source.path", str(tmp_path / "raw" / "plyas" / "a.csv"))
    code, error = error_of(job, *flags)
    assert code == 4
    assert error.endswith(f"does not exist: check the path ({tmp_path / 'raw'} exists, and holds no 'plyas')")
    assert "session was started" in error_of(job, "--source.format", "plays", "--source.path", str(tmp_path / "r*w"))[1]
    assert "session was started" in error_of(job, "--source.format", "plays", "--source.path", str(tmp_path / "raw"))[1]
    assert "session was started" in error_of(job, "--source.format", "plays", "--source.path", "s3://bucket/plays")[1]
    # A killed run may have a plan there.
    (tmp_path / "tables" / "ingested_files").mkdir(parents=True)
    assert "session was started" in error_of(job, *flags)[1]


@pytest.mark.parametrize(
    "job", ["evaluate", "search_parameters", "train_spark_model", "train_torch_model", "write_shards"]
)
def test_a_missing_split_is_reported_before_spark(error_of: ErrorOf, tmp_path: Path, job: str) -> None:
    (tmp_path / "tables" / "interactions" / "_delta_log").mkdir(parents=True)
    code, error = error_of(job, "--split.protocol", "last_n")
    assert code == 4 and error.startswith("split.protocol is last_n, and there is no split at ")
    assert "run split_interactions first" in error
    (tmp_path / "tables" / "splits" / "_delta_log").mkdir(parents=True)
    assert "session was started" in error_of(job, "--split.protocol", "last_n")[1]


@pytest.mark.parametrize("job", ["split_interactions", "evaluate", "search_parameters"])
def test_a_missing_protocol_is_reported_before_spark(error_of: ErrorOf, tmp_path: Path, job: str) -> None:
    (tmp_path / "tables" / "interactions" / "_delta_log").mkdir(parents=True)
    code, error = error_of(job)
    assert code == 2 and error.startswith("split.protocol is not set: set it to one of rating_random, ")


def test_an_unknown_measure_is_reported_before_spark(error_of: ErrorOf) -> None:
    code, error = error_of("benchmark", "--benchmark.measures", "item_similarty")
    assert code == 2 and "did you mean 'item_similarity'" in error
