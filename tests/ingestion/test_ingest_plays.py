"""The ingest_plays job: rows kept, rows refused with their reasons, nothing counted twice."""

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from recsys_spark.ingestion.staging import Staging
from tests.conftest import Outcome, Workspace

Write = Callable[..., Path]
TIMED = ["--source.format", "plays", "--source.columns.played_at", "at"]
TOTALS = ["--source.format", "plays", "--source.kind", "totals", "--source.columns.play_count", "n"]
RATINGS = ["--source.format", "plays", "--source.kind", "ratings", "--source.columns.rating", "stars"]
ANYTHING = ["--source.max_quarantine_share", "1"]


def ingest(workspace: Workspace, *arguments: object) -> Outcome:
    """Ingest all files that the test wrote, successfully."""
    return workspace.done("ingest_plays", "--source.path", workspace.root.parent / "raw", *arguments)


def refuse(workspace: Workspace, code: int, *arguments: object) -> Outcome:
    """Ingest all files that the test wrote, and expect this exit code."""
    outcome = workspace.run("ingest_plays", "--source.path", workspace.root.parent / "raw", *arguments)
    assert outcome.code == code, (outcome.code, outcome.stderr)
    return outcome


def plays(workspace: Workspace) -> list[tuple[Any, ...]]:
    """Return (user, item, play_count, rating) of all plays, sorted."""
    rows = workspace.table("plays").select("user_id", "item_id", "play_count", "rating").collect()
    return sorted((tuple(row) for row in rows), key=str)


def reasons(workspace: Workspace) -> dict[str, int]:
    """Return the frequency of each reason in the quarantine."""
    rows = workspace.table("plays_quarantine").select(F.explode("reasons").alias("r")).groupBy("r").count()
    return {row["r"]: row["count"] for row in rows.collect()}


def accounts(rows: dict[str, int]) -> tuple[int, int, int, int]:
    """Return (read, valid, duplicate, quarantined), and check that they add up."""
    numbers = tuple(rows[name] for name in ("read", "valid", "duplicate", "quarantined"))
    assert numbers[0] == sum(numbers[1:])
    return numbers  # type: ignore[return-value]


def test_broken_counts_are_refused_each_with_its_reason(workspace: Workspace, write: Write) -> None:
    counts = ["-1", "0", "NaN", "1e30", "2.5", "many", "", "Infinity", "5d", "3", " 4 ", "5.0", "1e2"]
    write("a.csv", "user_id,item_id,n\n" + "".join(f"u{i},i,{n}\n" for i, n in enumerate(counts)))
    outcome = ingest(workspace, *TOTALS, *ANYTHING)
    assert accounts(outcome.rows) == (13, 4, 0, 9)
    assert sorted(count for _, _, count, _ in plays(workspace)) == [3, 4, 5, 100]
    assert reasons(workspace) == {
        "play_count_negative": 1,
        "play_count_zero": 1,
        "play_count_not_a_number": 3,
        "play_count_too_large": 1,
        "play_count_fractional": 1,
        # NaN is one of source.null_values.
        "missing_play_count": 2,
    }


def test_times_out_of_range_or_unreadable_are_refused(workspace: Workspace, write: Write) -> None:
    times = [
        "1999-12-31T23:59:59Z",
        "946684799",
        "2024-02-30",
        "1815-06-18",
        "9999-01-01",
        "99999999999999999999",
        "yesterday",
        "2024-05-01 10:00:00+02:00",
    ]
    write("a.csv", "user_id,item_id,at\n" + "".join(f"u{n},i,{time}\n" for n, time in enumerate(times)))
    outcome = ingest(workspace, *TIMED, *ANYTHING)
    assert accounts(outcome.rows) == (8, 3, 0, 5)
    kept = workspace.table("plays").select("user_id", F.unix_seconds("played_at").alias("s")).collect()
    assert {row["user_id"]: row["s"] for row in kept} == {"u0": 946684799, "u1": 946684799, "u7": 1714550400}
    assert reasons(workspace) == {"played_at_not_a_time": 3, "played_at_out_of_range": 2}


@pytest.mark.slow
def test_a_time_without_a_zone_is_read_in_the_configured_one(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,at\nu,i,2024-07-01 09:00:00\nv,i,2024-07-01T00:00:00Z\n")
    ingest(workspace, *TIMED, "--source.timezone", "Asia/Tokyo")
    seconds = workspace.table("plays").select(F.unix_seconds("played_at")).distinct().collect()
    assert [row[0] for row in seconds] == [1719792000]


def test_moments_of_parquet_need_no_zone_to_be_moments(workspace: Workspace) -> None:
    rows = workspace.spark.sql("SELECT 'u' AS user_id, 'i' AS item_id, timestamp_seconds(1719792000) AS at")
    rows.write.parquet(str(workspace.root.parent / "raw" / "p.parquet"))
    ingest(workspace, *TIMED, "--source.timezone", "Asia/Tokyo")
    seconds = workspace.table("plays").select(F.unix_seconds("played_at")).collect()
    assert [row[0] for row in seconds] == [1719792000]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the time zone to Berlin, where an hour of 26 October 2025 occurs twice."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_events_of_the_hour_that_comes_twice_count_once(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,at\nu,i,2025-10-26T00:30:00Z\nu,j,2025-10-26T00:59:00Z\n")
    ingest(workspace, *TIMED)
    write("b.csv", "user_id,item_id,at\nu,i,2025-10-26T00:30:00Z\nu,j,2025-10-26T00:59:00Z\n")
    assert accounts(ingest(workspace, *TIMED).rows) == (2, 0, 2, 0)


def test_strange_ids_are_kept_as_they_are(workspace: Workspace, write: Write) -> None:
    ids = [
        "a",
        "A",
        "a ",
        " a",
        "O'Hara",
        'say ""hi""',
        "tab\there",
        "line\nbreak",
        "🎤",
        "x'; DROP TABLE plays;--",
        "名前",
    ]
    write("a.csv", "user_id,item_id,n\n" + "".join(f'"{name}","song, one",1\n' for name in ids))
    outcome = ingest(workspace, *TOTALS, "--source.multi_line", "true")
    assert accounts(outcome.rows) == (11, 11, 0, 0)
    assert {user for user, _, _, _ in plays(workspace)} == {name.replace('""', '"') for name in ids}
    workspace.done("build_interactions")
    assert workspace.table("interactions").count() == len(ids)


def test_empty_blank_and_overlong_ids_are_refused(workspace: Workspace, write: Write) -> None:
    long_enough, too_long = "é" * 1024, "x" * 1025
    write("a.csv", f"user_id,item_id,n\n,i,1\n   ,i,1\nu,,1\n{too_long},i,1\n{long_enough},i,1\n,,-1\nu,i,1\n")
    outcome = ingest(workspace, *TOTALS, *ANYTHING)
    assert accounts(outcome.rows) == (7, 2, 0, 5)
    assert reasons(workspace) == {
        "missing_user_id": 3,
        "missing_item_id": 2,
        "user_id_too_long": 1,
        "play_count_negative": 1,
    }


@pytest.mark.slow
def test_bytes_that_are_not_of_the_encoding_are_refused_not_merged(workspace: Workspace, write: Write) -> None:
    write("a.csv", b"user_id,item_id,n\n" + "é,i,1\nè,i,1\n".encode("ISO-8859-1") + b"e,i,1\n")
    assert accounts(ingest(workspace, *TOTALS, *ANYTHING).rows) == (3, 1, 0, 2)
    assert reasons(workspace) == {"invalid_encoding": 2}


@pytest.mark.slow
def test_latin_1_files_are_read_when_they_are_declared(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\né,i,1\nè,i,1\n".encode("ISO-8859-1"))
    ingest(workspace, *TOTALS, "--source.encoding", "ISO-8859-1")
    assert {row[0] for row in plays(workspace)} == {"é", "è"}


@pytest.mark.slow
@pytest.mark.parametrize("file_type", ["tsv", "jsonl", "parquet", "csv.gz"])
def test_every_file_type_gives_the_same_plays(workspace: Workspace, write: Write, file_type: str) -> None:
    rows = [("u", "i", 3), ("u", "j", 1), ("vé", "i", 2)]
    if file_type == "parquet":
        frame = workspace.spark.createDataFrame(rows, "user_id STRING, item_id STRING, n BIGINT")
        frame.write.parquet(str(workspace.root.parent / "raw" / "p.parquet"))
    elif file_type == "jsonl":
        write("a.jsonl", "".join(f'{{"user_id": "{u}", "item_id": "{i}", "n": {n}}}\n' for u, i, n in rows))
    elif file_type == "tsv":
        write("a.tsv", "n\titem_id\tuser_id\n" + "".join(f"{n}\t{i}\t{u}\n" for u, i, n in rows))
    else:
        text = "user_id,item_id,n\n" + "".join(f"{u},{i},{n}\n" for u, i, n in rows)
        write("a.csv.gz", gzip.compress(text.encode()))
    ingest(workspace, *TOTALS)
    assert plays(workspace) == [("u", "i", 3, None), ("u", "j", 1, None), ("vé", "i", 2, None)]


def test_parquet_files_may_differ_in_the_type_of_a_column(workspace: Workspace, write: Write) -> None:
    for number, kind in enumerate(("BIGINT", "DOUBLE")):
        frame = workspace.spark.createDataFrame([("u", f"i{number}", 3)], "user_id STRING, item_id STRING, n BIGINT")
        folder = workspace.root.parent / "raw" / f"{number}.parquet"
        frame.withColumn("n", F.col("n").cast(kind)).write.parquet(str(folder))
    ingest(workspace, *TOTALS)
    assert plays(workspace) == [("u", "i0", 3, None), ("u", "i1", 3, None)]


@pytest.mark.parametrize("name", [pytest.param("b.csv.gz", marks=pytest.mark.slow), "b.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused_by_name(
    workspace: Workspace, write: Write, name: str
) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    write(name, b"neither zipped nor in columns")
    outcome = refuse(workspace, 3, *TOTALS)
    assert f"{name} cannot be read to its end" in outcome.stderr and "a.csv" not in outcome.stderr
    refuse(workspace, 3, *TOTALS)
    assert plays(workspace) == [("u", "i", 1, None)]


def test_ingested_files_are_not_checked_for_the_columns_of_new_settings(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    ingest(workspace, *TOTALS)
    write("b.csv", "who,item_id,n\nv,i,1\n")
    assert "'user_id'" in refuse(workspace, 2, *TOTALS).stderr
    assert accounts(ingest(workspace, *TOTALS, "--source.columns.user_id", "who").rows) == (1, 1, 0, 0)


@pytest.mark.parametrize("harm", ["gone", pytest.param("empty", marks=pytest.mark.slow)])
def test_a_copy_that_lost_a_file_is_made_anew(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Simulate a machine that lost power soon after the copy was made."""
    finish = Staging.finish

    def losing(self: Staging, reader: Any, settings: Any) -> None:
        finish(self, reader, settings)
        part = next((self._folder / "plays").glob("part-*.parquet"))
        part.unlink() if harm == "gone" else part.write_bytes(b"")
        raise KeyboardInterrupt

    for name in "ab":
        write(f"{name}.csv", f"user_id,item_id,n\n{name},i,1\n")
    with monkeypatch.context() as patched:
        patched.setattr(Staging, "finish", losing)
        refuse(workspace, 1, *TOTALS)
    outcome = ingest(workspace, *TOTALS)
    assert plays(workspace) == [("a", "i", 1, None), ("b", "i", 1, None)]
    assert "lost files: reading the raw files again" in outcome.stderr


def test_timed_events_count_once_however_often_they_are_delivered(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,at\nu,i,2024-01-01\nu,i,2024-01-01\nu,i,2024-01-02\n")
    write("b.csv", "user_id,item_id,at\nu,i,2024-01-02\nv,i,2024-01-02\n")
    assert accounts(ingest(workspace, *TIMED).rows) == (5, 3, 2, 0)
    write("c.csv", "user_id,item_id,at\nv,i,2024-01-02\nw,i,2024-01-02\n")
    assert accounts(ingest(workspace, *TIMED).rows) == (2, 1, 1, 0)
    assert [row[0] for row in plays(workspace)] == ["u", "u", "v", "w"]


def test_untimed_events_count_each_time(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id\nu,i\nu,i\nu,j\n")
    assert accounts(ingest(workspace, "--source.format", "plays").rows) == (3, 3, 0, 0)
    assert workspace.table("plays").select("event_id").distinct().count() == 3
    workspace.done("build_interactions")
    assert {row["play_count"] for row in workspace.table("interactions").collect()} == {1, 2}


def test_only_new_files_are_read_and_nothing_else_changes(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,at\nu,i,2024-01-01\n")
    ingest(workspace, *TIMED)
    before = workspace.versions()
    outcome = ingest(workspace, *TIMED)
    assert outcome.rows["files_new"] == 0
    assert workspace.versions() == before
    assert workspace.table("job_runs").count() == 2


@pytest.mark.slow
def test_a_changed_file_of_totals_states_everything_anew(workspace: Workspace, write: Write) -> None:
    for number, total in enumerate((5, 7, 5)):
        path = write("a.csv", f"user_id,item_id,n\nu,i,{total}\n")
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        ingest(workspace, *TOTALS)
        workspace.done("build_interactions")
        assert [row["play_count"] for row in workspace.table("interactions").collect()] == [total]


@pytest.mark.slow
def test_a_changed_file_of_untimed_events_is_refused_until_reprocessed(workspace: Workspace, write: Write) -> None:
    flags = ["--source.format", "plays"]
    write("a.csv", "user_id,item_id\nu,i\nu,j\n")
    write("b.csv", "user_id,item_id\nw,i\n")
    ingest(workspace, *flags)
    write("a.csv", "user_id,item_id\nu,i\nu,i\nv,k\n")
    outcome = refuse(workspace, 3, *flags)
    assert "--source.reprocess" in outcome.stderr and "a.csv" in outcome.stderr
    assert len(plays(workspace)) == 3
    refuse(workspace, 3, *flags)
    assert "matches none" in refuse(workspace, 4, *flags, "--source.reprocess", "c.csv").stderr
    # The same file as another source: its plays belong to that source.
    raw = workspace.root.parent / "raw" / "a.csv"
    workspace.done("ingest_plays", *flags, "--source.path", raw, "--source.name", "other")
    other_plays = workspace.table("plays").where("source = 'other'")
    assert other_plays.count() == 3
    again = ingest(workspace, *flags, "--source.reprocess", "a.csv")
    # The first (u, i) was there before; its row still counts as new, as the earlier rows were replaced.
    assert accounts(again.rows) == (3, 3, 0, 0)
    assert other_plays.count() == 3
    workspace.spark.sql(f"DELETE FROM delta.`{workspace.root / 'plays'}` WHERE source = 'other'")
    assert [row[:2] for row in plays(workspace)] == [("u", "i"), ("u", "i"), ("v", "k"), ("w", "i")]
    ingest(workspace, *flags)


@pytest.mark.slow
def test_a_wrong_delimiter_is_refused_and_read_once_it_is_set_right(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id;item_id;n\n" + "".join(f"u{n};i;1\n" for n in range(50)))
    outcome = refuse(workspace, 3, *TOTALS)
    assert "wrong_delimiter 50" in outcome.stderr and "plays_quarantine" in outcome.stderr
    assert workspace.table("plays").count() == 0
    assert {row["status"] for row in workspace.table("ingested_files").collect()} == {"refused"}
    assert workspace.table("plays_quarantine").count() == 50
    refuse(workspace, 3, *TOTALS)
    assert workspace.table("plays_quarantine").count() == 50
    assert accounts(ingest(workspace, *TOTALS, "--source.delimiter", ";").rows) == (50, 50, 0, 0)


def test_too_many_refused_rows_leave_plays_as_they_were(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    ingest(workspace, *TOTALS)
    write("b.csv", "user_id,item_id,n\nv,i,1\nv,j,-1\n")
    outcome = refuse(workspace, 3, *TOTALS)
    assert "1 of 2 rows" in outcome.stderr and "play_count_negative 1" in outcome.stderr
    assert plays(workspace) == [("u", "i", 1, None)]
    assert {row["user_id"] for row in workspace.table("users").collect()} == {"u"}
    assert accounts(ingest(workspace, *TOTALS, "--source.max_quarantine_share", "0.5").rows) == (2, 1, 0, 1)


def test_missing_columns_are_named(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user,item,n\nu,i,1\n")
    outcome = refuse(workspace, 2, *TOTALS)
    assert "'user_id'" in outcome.stderr and "'item_id'" in outcome.stderr
    assert "user, item, n" in outcome.stderr


def test_a_missing_path_an_empty_folder_and_unknown_files_are_missing_input(
    workspace: Workspace, write: Write, tmp_path: Path
) -> None:
    assert "does not exist" in refuse(workspace, 4, *TOTALS).stderr
    (tmp_path / "raw").mkdir()
    assert "holds no files" in refuse(workspace, 4, *TOTALS).stderr
    write("README", "nothing to see")
    assert "format movielens" in refuse(workspace, 4, "--source.format", "movielens").stderr


def test_an_empty_file_is_ingested_as_nothing(workspace: Workspace, write: Write) -> None:
    write("a.csv", "")
    write("b.csv", "user_id,item_id,n\n")
    ingest(workspace, *TOTALS)
    counts = workspace.table("ingested_files").select("status", "rows_read").collect()
    assert {tuple(row) for row in counts} == {("ingested", 0)}


@pytest.mark.slow
def test_a_truncated_gzip_is_refused_by_name_and_its_neighbours_are_read_next(
    workspace: Workspace, write: Write
) -> None:
    text = "user_id,item_id,n\n" + "".join(f"u{n},i{n},{n + 1}\n" for n in range(5000))
    whole = gzip.compress(text.encode())
    write("broken.csv.gz", whole[: len(whole) // 2])
    write("good.csv", "user_id,item_id,n\nu,i,1\n")
    outcome = refuse(workspace, 3, *TOTALS)
    assert "broken.csv.gz cannot be read to its end" in outcome.stderr and "good.csv" not in outcome.stderr
    assert workspace.table("plays").count() == 0
    refuse(workspace, 3, *TOTALS)
    assert plays(workspace) == [("u", "i", 1, None)]
    write("broken.csv.gz", whole)
    assert ingest(workspace, *TOTALS).rows["valid"] == 5000


def test_binary_rubbish_is_refused(workspace: Workspace, write: Write) -> None:
    rubbish = bytes((i * 7919 + i // 256 * 31) % 256 for i in range(20_000))
    write("a.tsv", rubbish)
    assert refuse(workspace, 3, *TOTALS).summary["exit_code"] == 3
    write("usersha1-plays.tsv", rubbish)
    (workspace.root.parent / "raw" / "a.tsv").unlink()
    outcome = refuse(workspace, 3, "--source.format", "lastfm_360k")
    assert "rows were quarantined" in outcome.stderr
    assert workspace.table("plays").count() == 0


def test_unknown_keys_are_named_before_spark_is_asked(workspace: Workspace) -> None:
    outcome = workspace.run("ingest_plays", "--source.pth", "x")
    assert outcome.code == 2 and "did you mean 'source.path'" in outcome.stderr


def test_a_root_beneath_a_regular_file_cannot_be_written(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    outcome = workspace.run("ingest_plays", "--tables.root", tmp_path / "file" / "tables")
    assert outcome.code == 2 and "cannot be written" in outcome.stderr


def test_latest_statement_about_a_user_wins_and_nothing_known_is_lost(workspace: Workspace, write: Write) -> None:
    flags = [
        *TOTALS,
        "--source.columns.gender",
        "g",
        "--source.columns.age",
        "a",
        "--source.columns.country",
        "c",
    ]
    path = write("a.csv", "user_id,item_id,n,g,a,c\nu,i,1,Female,30,KR\nv,i,1,,,\nw,i,1,nonbinary,400,KR\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    ingest(workspace, *flags)
    path = write("b.csv", "user_id,item_id,n,g,a,c\nu,j,1,M,,\n")
    os.utime(path, (1_700_000_100, 1_700_000_100))
    ingest(workspace, *flags)
    users = {row["user_id"]: row for row in workspace.table("users").collect()}
    assert (users["u"]["gender"], users["u"]["age"], users["u"]["country"]) == ("m", 30, "KR")
    assert (users["v"]["gender"], users["w"]["gender"], users["w"]["age"]) == (None, "nonbinary", None)
