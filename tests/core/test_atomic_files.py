"""Atomic file writes."""

import json
from pathlib import Path

import pytest

from recsys_spark.core.atomic_files import atomic_write, drafts, write_json


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("old")
    with atomic_write(path) as draft:
        draft.write_text("half")
        assert path.read_text() == "old" and drafts(tmp_path) == [draft]
    assert path.read_text() == "half" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as draft:
        draft.write_text(str(1 / 0))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_concurrent_writers_of_one_file_do_not_interfere(tmp_path: Path) -> None:
    path = tmp_path / "words"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and drafts(tmp_path) == []


def test_json_is_read_back(tmp_path: Path) -> None:
    content = {"name": "Björk Hoàng", "counts": [1, 2], "none": None}
    write_json(tmp_path / "content.json", content)
    assert json.loads((tmp_path / "content.json").read_text()) == content
