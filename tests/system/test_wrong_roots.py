"""Jobs that need earlier tables, at an address without tables."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import MissingInputError
from recsys_spark.runtime import execution
from recsys_spark.runtime.job import Job

JOBS = sorted(path.stem for path in (Path(__file__).parents[2] / "jobs").glob("[a-z]*.py"))
# Jobs that can be the first ones at an address.
FIRST = {"benchmark", "generate_sample", "ingest_plays", "reproduce", "run_pipeline", "suppress_users"}


def job_of(name: str) -> Job:
    found: Job = import_module(f"recsys_spark.jobs.{name}").job
    return found


def test_all_jobs_but_the_first_ones_need_tables() -> None:
    assert {name for name in JOBS if not job_of(name).needs_tables} == FIRST


@pytest.mark.parametrize("name", sorted({*JOBS} - FIRST))
@pytest.mark.parametrize("exists", [False, True])
def test_a_job_that_needs_tables_starts_nothing_and_creates_nothing_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, exists: bool
) -> None:
    root = tmp_path / "mistyped"
    if exists:
        root.mkdir()
    monkeypatch.setattr(execution, "spark_session", lambda _: pytest.fail("a session was started"))
    code = job_of(name).main(["--tables.root", str(root)])
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == line["exit_code"] == 4
    assert line["error"].startswith(f"there are no tables at {root}: correct tables.root")
    assert list(tmp_path.rglob("*")) == [root] * exists
    session: object = None
    with pytest.raises(MissingInputError, match="there are no tables at"):
        job_of(name)(session, load_config(["--tables.root", str(root)], {}))  # type: ignore[arg-type]
    assert list(tmp_path.rglob("*")) == [root] * exists
