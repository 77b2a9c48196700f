"""Files that grow, shrink or vanish while they are read are ingested only when stable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.ingestion.staging import Staging
from tests.conftest import Workspace

UNTIMED = ["--source.format", "plays"]
HEADER, ROW = "user_id,item_id\n", "u,{}\n"


def patch_write(patch: pytest.MonkeyPatch, change: Callable[[], object], moment: str) -> None:
    """Call `change` before or after the files are read."""
    original = Staging.write

    def write(self: Staging, *arguments: Any) -> None:
        if moment == "before":
            change()
        original(self, *arguments)
        if moment == "after":
            change()

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
def test_a_file_that_changes_while_it_is_read_is_ingested_only_when_stable(
    workspace: Workspace, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, change: str, moment: str
) -> None:
    rows = [ROW.format(f"i{number}") for number in range(50)]
    file = write("moving.csv", HEADER + "".join(rows))
    write("still.csv", HEADER + ROW.format("still"))
    flags = ["--source.path", file.parent, *UNTIMED]
    later = {"grows": [*rows, ROW.format("late")], "shrinks": rows[:7], "vanishes": []}[change]

    def change_file() -> None:
        file.unlink()
        if later:
            file.write_text(HEADER + "".join(later))

    with monkeypatch.context() as patch:
        patch_write(patch, change_file, moment)
        outcome = workspace.run("ingest_plays", *flags)
    assert outcome.code == 3 and "moving.csv" in outcome.stderr and "still.csv" not in outcome.stderr
    assert workspace.table("plays").count() == 0
    assert not list((workspace.root / "_files" / "staging").glob("*"))
    assert workspace.done("ingest_plays", *flags).rows["valid"] == len(later) + 1
    assert workspace.table("plays").select("item_id").distinct().count() == len(later) + 1
