"""Deliveries that are accepted with a warning, or refused because they give no rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from tests.conftest import Outcome, Workspace

Write = Callable[..., Path]
PLAYS = ["--source.format", "plays"]
TIMED = [*PLAYS, "--source.columns.played_at", "at"]
RATINGS = [*PLAYS, "--source.kind", "ratings", "--source.columns.rating", "stars"]
HEADER = "user_id,item_id,at\n"


def ingest(workspace: Workspace, *arguments: object) -> Outcome:
    """Ingest all files that the test wrote."""
    return workspace.run("ingest_plays", "--source.path", workspace.root.parent / "raw", *arguments)


def states(workspace: Workspace) -> dict[str, Any]:
    """Return the latest state of each file by its name."""
    rows = workspace.table("ingested_files").orderBy("batch_id").collect()
    return {row["source_file"].rsplit("/", 1)[-1]: (row["status"], row["rows_read"]) for row in rows}


def test_an_accepted_delivery_tells_of_refused_untimed_and_placeholder_rows(workspace: Workspace, write: Write) -> None:
    rows = ["u,i,2024-01-01", "u,j,", ",i,2024-01-01", ",,2024-01-01", "Unknown,i,2024-01-02"]
    write("a.csv", HEADER + "\n".join(rows) + "\n")
    write("empty.csv", HEADER)
    outcome = ingest(workspace, *TIMED, "--source.max_quarantine_share", "0.5")
    assert outcome.code == 0 and (outcome.rows["valid"], outcome.rows["untimed"]) == (3, 1)
    run = outcome.summary["run_id"]
    warnings = [line for line in outcome.stderr.splitlines() if " WARNING " in line]
    assert len(warnings) == 4
    told = "\n".join(warnings)
    assert "2 of 5 rows were quarantined: missing_user_id 2, missing_item_id 1; see the table plays_quarantine" in told
    assert f"where run_id is '{run}'" in told
    assert "1 of 3 valid plays have no time" in told and "source.untimed" in told
    assert "1 of 3 valid plays have an id that looks like a missing value, such as 'Unknown'" in told
    assert "1 of 2 files hold no rows, such as file:" in told and "empty.csv" in told
    assert {row["raw"] for row in workspace.table("plays_quarantine").collect()} == set(rows[2:4])
    write("b.csv", f"{HEADER}v,i,\nv,j,2024-01-01\n")
    outcome = ingest(workspace, *TIMED, "--source.max_quarantine_share", "0.5", "--source.untimed", "refuse")
    assert (outcome.rows["valid"], outcome.rows["quarantined"]) == (1, 1) and "untimed" not in outcome.rows
    assert "missing_played_at 1" in outcome.stderr


def test_files_that_are_no_text_are_refused_by_name_and_others_read_next(workspace: Workspace, write: Write) -> None:
    write("a.csv.zip", b"PK\x03\x04\x14\x00 tiny archive without a line break")
    write("b.xlsx", b"PK\x03\x04")
    write("good.csv", HEADER + "u,i,2024-01-01\n")
    outcome = ingest(workspace, *TIMED)
    assert outcome.code == 3
    assert "a.csv.zip is an archive, which Spark does not read: unpack it" in outcome.stderr
    assert (
        "b.xlsx is a spreadsheet, which Spark does not read: save it as CSV" in outcome.stderr
        and "good.csv" not in outcome.stderr
    )
    outcome = ingest(workspace, *TIMED)
    assert outcome.code == 3, "the refused files still lie there"
    assert states(workspace) == {
        "a.csv.zip": ("refused", None),
        "b.xlsx": ("refused", None),
        "good.csv": ("ingested", 1),
    }


def test_bytes_without_rows_are_no_success(workspace: Workspace, write: Write) -> None:
    write("blank.csv", "\n \n\n")
    write("other.csv", "user_id;item_id;at\n")
    outcome = ingest(workspace, *TIMED)
    assert outcome.code == 3
    assert "blank.csv has 4 bytes and no rows: it has blank lines alone" in outcome.stderr
    assert "other.csv has 19 bytes and no rows: it has a header of one column" in outcome.stderr
    assert "source.delimiter" in outcome.stderr
    write("blank.csv", "")
    write("other.csv", b"PK\x03\x04 an archive with another name")
    outcome = ingest(workspace, *TIMED)
    assert outcome.code == 3 and "unreadable_header 1" in outcome.stderr
    write("other.csv", "")
    write("c.csv.zst", bytes.fromhex("28b52ffd0458"))
    outcome = ingest(workspace, *TIMED)
    assert outcome.code == 3 and "c.csv.zst cannot be read to its end" in outcome.stderr
    assert "compress the file with gzip" in outcome.stderr


def test_the_larger_of_two_ratings_of_one_file_is_kept_and_the_other_is_a_duplicate(
    workspace: Workspace, write: Write
) -> None:
    write("a.csv", "user_id,item_id,stars\nu,i,5\nu,i,1\nv,i,2\n")
    outcome = ingest(workspace, *RATINGS)
    assert [outcome.rows[name] for name in ("read", "valid", "duplicate", "quarantined")] == [3, 2, 1, 0]
    found = workspace.table("plays").select("user_id", "rating").orderBy("user_id").collect()
    assert [tuple(row) for row in found] == [("u", 5.0), ("v", 2.0)]


def test_a_pattern_of_strftime_ends_the_job_before_it_reads(workspace: Workspace, write: Write) -> None:
    write("a.csv", f"{HEADER}u,i,2024-01-01 10:00:00\n")
    outcome = ingest(workspace, *TIMED, "--source.time_format", "%Y-%m-%d %H:%M:%S")
    assert outcome.code == 2
    assert "source.time_format" in outcome.stderr and "'yyyy-MM-dd HH:mm:ss'" in outcome.stderr
    assert not workspace.root.exists() or not (workspace.root / "plays").exists()
    assert ingest(workspace, *TIMED, "--source.time_format", "yyyy-MM-dd HH:mm:ss").rows["valid"] == 1
    seconds = workspace.table("plays").select(F.unix_seconds("played_at")).collect()
    assert [row[0] for row in seconds] == [1704103200]
