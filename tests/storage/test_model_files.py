"""A model's folder against the list of what training left in it."""

from pathlib import Path

import pytest

from recsys_spark.storage.model_files import list_files_of_model, lost_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bm25.json", "items/tile-00000.npy", "bm25_idf/part-0.parquet", "bm25_idf/_SUCCESS", "log.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


@pytest.mark.parametrize("lost", ["bm25.json", "items/tile-00000.npy", "bm25_idf/part-0.parquet"])
def test_what_scoring_needs_is_missed(folder: Path, lost: str) -> None:
    assert lost_files(folder) == [], "there is no list yet"
    list_files_of_model(folder)
    assert lost_files(folder) == []
    (folder / lost).unlink()
    assert lost_files(folder) == [lost]


@pytest.mark.parametrize("cleared", ["log.jsonl", "bm25_idf/_SUCCESS"])
def test_what_is_there_for_people_may_go(folder: Path, cleared: str) -> None:
    list_files_of_model(folder)
    (folder / cleared).unlink()
    assert lost_files(folder) == []


def test_what_other_jobs_add_later_is_not_missed(folder: Path) -> None:
    list_files_of_model(folder)
    (folder / "content").mkdir()
    assert lost_files(folder) == []
