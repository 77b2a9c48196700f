"""File systems without hard links and locks, simulated by failing calls."""

import errno
import fcntl
import logging
import os
from pathlib import Path

import pytest
import torch

from recsys_spark.config.load import load_config
from recsys_spark.core.atomic_files import name_new_file, supports_links, write_json
from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime import preflight
from recsys_spark.runtime.preflight import check_writable, log_file_systems
from recsys_spark.storage.locks import Locks, supports_locks
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints

ERRORS = (errno.ENOTSUP, errno.EPERM, errno.ENOSYS)


def fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hard links and locks fail as on a mounted object store."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(os, "fsync", fail)


def new_file(folder: Path, content: str) -> Path:
    """Write a complete file that has no final name yet."""
    draft = folder / f"draft-{content}"
    draft.write_text(content)
    return draft


@pytest.mark.parametrize("number", [None, *ERRORS])
def test_the_first_of_two_files_gets_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    if number is not None:
        fail_with(number, monkeypatch)
    path = tmp_path / "name"
    named = [name_new_file(new_file(tmp_path, content), path) for content in ("first", "second")]
    assert (named, path.read_text()) == ([True, False], "first")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", ERRORS)
def test_a_place_without_links_and_locks_is_usable_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    config = load_config(["--tables.root", str(tmp_path / "one"), "--files.root", str(tmp_path / "files")], {})
    other = load_config(["--tables.root", str(tmp_path / "two"), "--files.root", str(tmp_path / "files")], {})
    monkeypatch.setattr(logging.getLogger("recsys_spark"), "propagate", True)
    with monkeypatch.context() as patched:
        fail_with(number, patched)
        check_writable(config)
        with pytest.raises(ConfigError, match="belongs to the tables at"):
            check_writable(other)
        with Locks(tmp_path / "locks", 0).hold("plays"), Locks(tmp_path / "locks", 0).hold("plays"):
            pass
        write_json(tmp_path / "content.json", {"a": 1})
        checkpoint = Checkpoint(3, {"weights": {"w": torch.ones(2)}}, {"seed": 7})
        Checkpoints(tmp_path / "checkpoints").save(checkpoint)
        read = Checkpoints(tmp_path / "checkpoints").newest()
        assert read is not None and (read.step, read.state) == (3, {"seed": 7})
        assert not supports_links(tmp_path) and not supports_locks(tmp_path)
        log_file_systems(config)
    for root in ("one", "files"):
        assert f"{tmp_path / root} has no hard links: complete files are renamed" in caplog.text
        assert f"{tmp_path / root} has no file locks: the commit of Delta alone decides" in caplog.text
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["tables.txt"]
    caplog.clear()
    log_file_systems(config)
    assert caplog.text == "", "each folder is named once"
    preflight._log_file_system.cache_clear()
    log_file_systems(config)
    assert caplog.text == "" and list((tmp_path / "one").iterdir()) == []


def test_other_errors_of_links_and_locks_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        name_new_file(new_file(tmp_path, "x"), tmp_path / "name")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), Locks(tmp_path, 0).hold("plays"):
        pytest.fail("held")
