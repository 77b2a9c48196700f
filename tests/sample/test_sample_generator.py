"""The generator as a whole: reproducible bytes, atomic writes, no overwriting."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sample import SampleFormat, SampleSettings
from recsys_spark.core.errors import ConfigError, WriteConflictError
from recsys_spark.sample import blocks, generator
from recsys_spark.sample.generator import generate
from recsys_spark.storage.locks import Locks

FORMATS: list[SampleFormat] = ["sample", "lastfm_360k", "anime"]


def small(name: SampleFormat = "sample", dirt_share: float = 0.1) -> SampleSettings:
    return SampleSettings(format=name, users=90, items=200, rows=2_000, users_per_file=25, dirt_share=dirt_share)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def other_parallelism(spark: SparkSession) -> Iterator[SparkSession]:
    before = str(spark.conf.get("spark.sql.shuffle.partitions"))
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    yield spark
    spark.conf.set("spark.sql.shuffle.partitions", before)


@pytest.mark.parametrize("name", FORMATS)
def test_content_depends_on_settings_and_seed_alone(spark: SparkSession, tmp_path: Path, name: SampleFormat) -> None:
    generate(spark, small(name), 3, tmp_path / "on_spark")
    plan = small(name).plan(3)
    for folder in blocks.folders(plan):
        (tmp_path / "by_hand" / folder).mkdir(parents=True)
    for piece in reversed(range(blocks.pieces(plan))):
        blocks.write_piece(plan, piece, tmp_path / "by_hand")

    on_spark = content(tmp_path / "on_spark")
    del on_spark["truth/truth.json"]
    assert on_spark == content(tmp_path / "by_hand")


def test_shuffle_partitions_change_nothing(other_parallelism: SparkSession, tmp_path: Path) -> None:
    generate(other_parallelism, small(), 3, tmp_path / "seven")
    other_parallelism.conf.set("spark.sql.shuffle.partitions", "1")
    generate(other_parallelism, small(), 3, tmp_path / "one")
    assert content(tmp_path / "seven") == content(tmp_path / "one")


def test_seeds_differ(spark: SparkSession, tmp_path: Path) -> None:
    generate(spark, small(), 3, tmp_path / "a")
    generate(spark, small(), 4, tmp_path / "b")
    plays = "plays/part-00000.csv"
    assert content(tmp_path / "a").keys() == content(tmp_path / "b").keys()
    assert content(tmp_path / "a")[plays] != content(tmp_path / "b")[plays]


def test_a_finished_folder_is_left_alone(spark: SparkSession, tmp_path: Path) -> None:
    first = generate(spark, small(), 3, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert generate(spark, small(), 3, str(tmp_path / "out")) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    assert list(first) == ["users", "items", "rows", "broken", "duplicated", "late"]
    assert json.loads((tmp_path / "out/truth/truth.json").read_text())["counts"] == first


@pytest.mark.parametrize(("settings", "seed"), [(small(dirt_share=0.2), 3), (small("anime"), 3), (small(), 4)])
def test_another_sample_is_not_overwritten(
    spark: SparkSession, tmp_path: Path, settings: SampleSettings, seed: int
) -> None:
    generate(spark, small(), 3, tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(ConfigError, match="delete it or choose another folder"):
        generate(spark, settings, seed, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_foreign_folders_and_files_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/holiday.jpg").write_bytes(b"...")
    (tmp_path / "file").write_text("text")
    for path in ("foreign", "file"):
        with pytest.raises(ConfigError, match="not made by generate_sample: delete it or choose another"):
            generate(spark, small(), 3, tmp_path / path)
    with pytest.raises(ConfigError, match="choose another folder"):
        generate(spark, small(), 3, tmp_path / "file/below/out")
    with pytest.raises(ConfigError, match="plain path"):
        generate(spark, small(), 3, "s3://bucket/out")
    assert (tmp_path / "foreign/holiday.jpg").read_bytes() == b"..."


def test_an_empty_folder_and_missing_parents_will_do(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    generate(spark, small(), 3, tmp_path / "empty")
    generate(spark, small(), 3, f"file://{tmp_path}/new/parents/out")
    assert content(tmp_path / "empty") == content(tmp_path / "new/parents/out")


def test_remains_of_a_killed_run_are_cleared(spark: SparkSession, tmp_path: Path) -> None:
    remains = tmp_path / ".out.unfinished/plays"
    remains.mkdir(parents=True)
    (remains / "part-99999.csv").write_text("half a li")
    generate(spark, small(), 3, tmp_path / "out")
    assert "plays/part-99999.csv" not in content(tmp_path / "out")
    assert not remains.exists()


def test_a_failed_run_leaves_nothing(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(generator, "write_truth", fail)
    with pytest.raises(OSError, match="no space left"):
        generate(spark, small(), 3, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_two_writers_do_not_meet(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LOCK_SECONDS", 0.0)
    with Locks(tmp_path, 0.0).hold(".out"), pytest.raises(WriteConflictError):
        generate(spark, small(), 3, tmp_path / "out")


def test_executors_that_see_another_disk_are_noticed(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="all machines share"):
        generator._write_pieces(spark, small().plan(3), tmp_path / "elsewhere")
