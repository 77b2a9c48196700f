"""Personal data and credentials, which job_runs does not keep."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import MissingInputError, RecsysError
from recsys_spark.core.paths import without_credentials
from recsys_spark.runtime.job import Job, JobRun
from recsys_spark.runtime.report import recorded_error

ADDRESS = "https://ada:s3cret@tracking.example.org/api"


def test_job_runs_keeps_no_items_of_a_query_and_no_passwords(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [
        MissingInputError("no such item; nearest names: My Songs", recorded="no such item"),
        RuntimeError(f"{ADDRESS} does not answer for My Song or Hers"),
    ]

    def work(run: JobRun) -> None:
        assert run.config.mlflow.tracking_uri == ADDRESS
        raise errors.pop(0)

    flags = ["--tables.root", str(tmp_path), "--mlflow.tracking_uri", ADDRESS, "--items", "My Song", "Hers"]
    lines = []
    for _ in range(2):
        Job("demo", "", work).main(flags)
        lines.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert lines[0]["error"] == "no such item; nearest names: My Songs"
    rows = spark.read.format("delta").load(str(tmp_path / "job_runs")).orderBy("started_at").collect()
    assert [row["error"] for row in rows] == [
        "no such item",
        "RuntimeError: https://tracking.example.org/api does not answer for [query.items] or [query.items]",
    ]
    for text in [*map(str, rows), lines[1]["error"]]:
        assert "s3cret" not in text and "ada" not in text
    assert json.loads(rows[0]["params"])["mlflow"]["tracking_uri"] == "https://tracking.example.org/api"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ADDRESS, "https://tracking.example.org/api"),
        ("s3a://key:a+b=@bucket/x and s3a://k:p@b2", "s3a://bucket/x and s3a://b2"),
        ('{"uri": "http://:token@host:5000"}', '{"uri": "http://host:5000"}'),
        ("abfss://container@account.dfs.core.windows.net/a", "abfss://container@account.dfs.core.windows.net/a"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
    ],
)
def test_credentials_are_cut_out_of_addresses_alone(address: str, expected: str) -> None:
    assert without_credentials(address) == expected


@pytest.mark.parametrize("user", ["7", "ada (home)"])
def test_the_user_of_a_private_query_is_cut_out_of_errors(user: str) -> None:
    config = load_config(["--tables.root", "t", "--user", user])
    recorded = recorded_error(RuntimeError(f"row 17 of {user!r} and {user}"), config)
    assert recorded == "RuntimeError: row 17 of '[query.user]' and [query.user]"


def test_an_error_without_another_text_is_recorded_as_it_is() -> None:
    assert RecsysError("all of it").recorded == "all of it"
