"""Files that grow, shrink or vanish while they are read: nothing of them is kept until they stand still."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.ingestion.staging import Staging
from tests.conftest import Workspace

UNTIMED = ["--source.format", "plays"]
HEADER, ROW = "user_id,item_id\n", "u,{}\n"


def moved(patch: pytest.MonkeyPatch, move: Callable[[], object], moment: str) -> None:
    """Something happens to the files before or after they are read."""
    original = Staging.write

    def write(self: Staging, *arguments: Any) -> None:
        if moment == "before":
            move()
        original(self, *arguments)
        if moment == "after":
            move()

    patch.setattr(Staging, "write", write)


@pytest.mark.parametrize(
    ("change", "moment"),
    [
        ("grows", "after"),
        *[
            pytest.param(change, moment, marks=pytest.mark.slow)
            for change, moment in (("grows", "before"), ("shrinks", "after"), ("vanishes", "before"))
        ],
    ],
)
def test_nothing_of_a_moving_file_is_kept_until_it_stands_still(
    workspace: Workspace, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, change: str, moment: str
) -> None:
    rows = [ROW.format(f"i{number}") for number in range(50)]
    file = write("moving.csv", HEADER + "".join(rows))
    write("still.csv", HEADER + ROW.format("still"))
    told = ["--source.path", file.parent, *UNTIMED]
    later = {"grows": [*rows, ROW.format("late")], "shrinks": rows[:7], "vanishes": []}[change]

    def move() -> None:
        file.unlink()
        if later:
            file.write_text(HEADER + "".join(later))

    with monkeypatch.context() as patch:
        moved(patch, move, moment)
        outcome = workspace.run("ingest_plays", *told)
    assert outcome.code == 3 and "moving.csv" in outcome.stderr and "still.csv" not in outcome.stderr
    assert workspace.table("plays").count() == 0
    assert not list((workspace.root / "_files" / "staging").glob("*"))
    assert workspace.done("ingest_plays", *told).rows["valid"] == len(later) + 1
    assert workspace.table("plays").select("item_id").distinct().count() == len(later) + 1
