"""File lists of trained models."""

from pathlib import Path

import pytest

from recsys_spark.storage.model_files import missing_files, write_file_list


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bm25.json", "items/tile-00000.npy", "bm25_idf/part-0.parquet", "bm25_idf/_SUCCESS", "log.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


@pytest.mark.parametrize("lost", ["bm25.json", "items/tile-00000.npy", "bm25_idf/part-0.parquet"])
def test_files_that_scoring_needs_are_missed(folder: Path, lost: str) -> None:
    assert missing_files(folder) == [], "there is no list yet"
    write_file_list(folder)
    assert missing_files(folder) == []
    (folder / lost).unlink()
    assert missing_files(folder) == [lost]


@pytest.mark.parametrize("cleared", ["log.jsonl", "bm25_idf/_SUCCESS"])
def test_logs_and_markers_are_not_missed(folder: Path, cleared: str) -> None:
    write_file_list(folder)
    (folder / cleared).unlink()
    assert missing_files(folder) == []


def test_files_added_by_later_jobs_are_not_missed(folder: Path) -> None:
    write_file_list(folder)
    (folder / "content").mkdir()
    assert missing_files(folder) == []
