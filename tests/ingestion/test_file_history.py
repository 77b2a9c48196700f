"""Choice of files by the history of a source."""

from datetime import UTC, datetime
from typing import Any

import pytest

from recsys_spark.config.load import config_from
from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.batches import plan_batch, settings_hash
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.file_history import Attempt, FileHistory, select_unread
from recsys_spark.ingestion.file_states import FileResult, finish, refuse, start
from recsys_spark.ingestion.plays import PlaysReader
from tests.conftest import Workspace

NAMES = ("1.csv", "day-11.csv", "sub/1.csv", "sub/b1.csv")
NOT_COLLECTED: Any = None


def raw_file(name: str, size: int = 1, micros: int = 0) -> RawFile:
    """Return a version of a file."""
    return RawFile(f"file:///raw/{name}", f"file:///raw/{name}", size, datetime(2024, 1, 1, 0, 0, 0, micros, UTC))


def source_settings(**flags: str) -> SourceSettings:
    """Return settings of events without a time, unless flags map one."""
    given = {"tables.root": "unused", "source.format": "plays", "source.path": "/raw"}
    return config_from(given | {f"source.{name}": value for name, value in flags.items()}).source


FILES = [raw_file(name) for name in NAMES]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("1.csv", ["1.csv", "sub/1.csv"]),
        ("sub/1.csv", ["sub/1.csv"]),
        ("/raw/1.csv", ["1.csv"]),
        ("*1.csv", list(NAMES)),
        ("day-*.csv", ["day-11.csv"]),
        ("ay-11.csv", []),
    ],
)
def test_reprocess_matches_whole_parts_of_paths(pattern: str, names: list[str]) -> None:
    settings = source_settings(reprocess=pattern)
    chosen = FileHistory(1, (), NOT_COLLECTED).select(FILES, PlaysReader(settings), settings).new
    assert [file.path.removeprefix("file:///raw/") for file in chosen] == names


def test_unread_files_are_new_refused_before_or_changed_without_times() -> None:
    settings = source_settings()
    same, other = settings_hash(settings), "of other settings"
    old = raw_file("a.csv", size=7).identity
    cases = {
        "never.csv": ([], "new"),
        "refused.csv": ([("refused", same)], "still_refused"),
        "other-settings.csv": ([("refused", same), ("refused", other)], "new"),
        "given-up.csv": ([("started", same)], "new"),
    }
    attempts = {
        raw_file(name).uri: [Attempt(raw_file(name).identity, *tried) for tried in states]
        for name, (states, _) in cases.items()
    }
    attempts[raw_file("changed.csv").uri] = [Attempt(old, "ingested", same)]
    files = [raw_file(name) for name in [*cases, "changed.csv"]]
    untimed = select_unread(files, attempts, PlaysReader(settings), settings)
    for name, (_, group) in cases.items():
        assert raw_file(name) in getattr(untimed, group)
    assert untimed.changed_untimed == [raw_file("changed.csv")]
    timed = source_settings(**{"columns.played_at": "at"})
    assert raw_file("changed.csv") in select_unread(files, attempts, PlaysReader(timed), timed).new


def test_only_unread_files_and_started_batches_are_collected(workspace: Workspace) -> None:
    tables, settings = workspace.tables(), source_settings()
    reader, elsewhere = PlaysReader(settings), source_settings(name="elsewhere")
    for number, (batch_settings, end, file) in enumerate(
        [
            (settings, finish, raw_file("known.csv", micros=3)),
            (settings, finish, raw_file("changed.csv", size=5)),
            (settings, refuse, raw_file("refused.csv")),
            (elsewhere, finish, raw_file("new.csv")),
            (settings, None, raw_file("planned.csv")),
        ]
    ):
        batch = plan_batch(number + 1, [file], batch_settings, f"run-{number}")
        start(tables, batch)
        if end is not None:
            end(tables, batch, [FileResult(file)])
    history = FileHistory.read(tables)
    assert (history.next_batch, history.started) == (6, {5})
    unfinished = history.unfinished("plays")
    assert unfinished is not None and history.unfinished("elsewhere") is None
    assert (unfinished.batch_id, unfinished.files, unfinished.run_id) == (5, (raw_file("planned.csv"),), "run-4")
    present = [raw_file("known.csv", micros=3), *map(raw_file, ("changed.csv", "refused.csv", "new.csv"))]
    assert history._attempts(present, "plays").keys() == {file.uri for file in present[1:]}
    found = history.select(present, reader, settings)
    assert (found.new, found.still_refused) == ([raw_file("new.csv")], [raw_file("refused.csv")])
    assert found.changed_untimed == [raw_file("changed.csv")]
    newer = history.select([raw_file("known.csv", micros=4)], reader, settings)
    assert newer.changed_untimed == [raw_file("known.csv", micros=4)], "a microsecond makes another version"
