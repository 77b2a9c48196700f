"""Tests of build_report: its numbers against the tables, and its errors."""

import re
from html import unescape
from pathlib import Path

from tests.conftest import Workspace

HOSTILE = "</script><img src=x onerror=alert(1)>"
TITLES = [HOSTILE, "Am\u00e9lie", "Heat", "Alien", "Brazil", "Fargo", "Antz", "Big", "Jaws", "Babe"]


def text_of(page: str) -> str:
    """Return the text of a page without its tags, with single spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_a_report_shows_what_the_tables_hold(workspace: Workspace, tmp_path: Path) -> None:
    nothing = workspace.run("build_report")
    assert nothing.code == 4 and "run ingest_plays first" in nothing.stderr

    pairs = [(user, film) for user in range(24) for film in range(10) if user % 2 == film % 2 and user >= 2 * film]
    rows = "".join(f"u{user},f{film},{TITLES[film]}\n" for user, film in pairs)
    (tmp_path / "plays.csv").write_text(f"user_id,item_id,item_name\n{rows},f1,nobody\n", encoding="utf-8")
    source = ("--source.format", "plays", "--source.path", tmp_path / "plays.csv")
    workspace.done("ingest_plays", *source, "--source.columns.item_name", "item_name")
    early = workspace.done("build_report", "--report.path", tmp_path / "early.html")
    assert early.rows["warnings"] == 0 and "build_interactions has not run yet" in (tmp_path / "early.html").read_text()

    workspace.done("build_interactions")
    workspace.done("train_spark_model", "--models.als.rank", 4, "--models.als.max_iter", 2)
    workspace.done("build_item_similarity")
    workspace.done("build_recommendations")
    workspace.done("publish_model")
    outcome = workspace.done("build_report")
    file = Path(outcome.summary["outputs"]["report"])
    assert file == workspace.root / "_files" / "report" / "report.html" and file.stat().st_size == outcome.rows["bytes"]
    page = file.read_text(encoding="utf-8")
    assert "<img" not in page and HOSTILE in text_of(page)
    text = text_of(page)
    users, items = len({user for user, _ in pairs}), len({film for _, film in pairs})
    assert f"users {users} items {items} pairs of user and item {len(pairs)}" in text
    assert "missing_user_id 1" in text.split("Refused rows by reason")[1]
    # Film 0 has all even users from 0 on, and is the most played.
    most_played = sum(1 for _, film in pairs if film == 0)
    assert f"{HOSTILE} {most_played}" in text.split("Most played items")[1]
    version = workspace.table("models").where("algorithm = 'als'").collect()[0]["model_version"]
    assert version in text.split("Serving models")[1] and "Recommended shelves" in text
    assert "build_item_similarity" in text.split("Last runs")[1]

    refused = workspace.run("build_report", "--report.path", "/dev/null/report.html")
    assert refused.code == 2 and "report.path: /dev/null/report.html cannot be written" in refused.stderr
    assert workspace.run("publish_model", "--model.version", "als-000000000000").code == 4
    assert workspace.done("build_report").rows["warnings"] == 1
    assert "The last run of publish_model failed" in text_of(file.read_text(encoding="utf-8"))
