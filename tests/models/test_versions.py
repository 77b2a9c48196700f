"""Order of versions by creation, independent of the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsys_spark.models import versions as model_versions
from recsys_spark.models.versions import find_model, not_before, record_model
from tests.conftest import Workspace

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(time: datetime) -> type:
    class Clock:
        @staticmethod
        def now(zone: Any) -> datetime:
            return time.astimezone(zone)

    return Clock


def test_newest_version_after_the_clock_was_set_back(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, time in enumerate([NOON, NOON - timedelta(hours=1), NOON - timedelta(hours=2)]):
        monkeypatch.setattr(model_versions, "datetime", at(time))
        tables = workspace.tables()
        record_model(tables, f"als-{number}", "als", {}, {}, f"models/als-{number}")
        assert find_model(workspace.tables(), "als", None).version == f"als-{number}"
    monkeypatch.setattr(model_versions, "datetime", at(NOON + timedelta(hours=1)))
    record_model(workspace.tables(), "als-3", "als", {}, {}, "models/als-3")
    made = workspace.table("models").selectExpr("unix_micros(created_at)").orderBy("created_at").collect()
    start = int(NOON.timestamp()) * 1_000_000
    assert [row[0] for row in made] == [start, start + 1, start + 2, start + 3_600_000_000]


def test_unset_time_stays_unset(workspace: Workspace) -> None:
    rows = workspace.spark.createDataFrame([("a", None), ("b", NOON)], "name STRING, time TIMESTAMP")
    models = rows.where("name = 'b'")
    dated = {
        row["name"]: row["moved"]
        for row in not_before(rows, models, "time")
        .selectExpr("name", "timestampdiff(MICROSECOND, timestamp'2026-01-01T12:00:00Z', time) AS moved")
        .collect()
    }
    assert dated == {"a": None, "b": 1}
