"""One owner of the states of a file: no other module spells them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from recsys_spark.ingestion import file_states
from recsys_spark.ingestion.file_states import FileState

ROOT = Path(__file__).parents[2]
OWNER = Path(file_states.__file__)
FOLDERS = (ROOT / "recsys_spark" / "ingestion", ROOT / "jobs")


def spelled_states(file: Path) -> Iterator[str]:
    """Yield the states that a source file has as string literals."""
    states = {state.value for state in FileState}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and node.value in states:
            yield node.value


def test_stored_values_of_the_states_stay() -> None:
    assert [state.value for state in FileState] == ["started", "refused", "ingested"]
    assert sorted(spelled_states(OWNER)) == ["ingested", "refused", "started"]


def test_states_are_spelled_in_no_other_module_of_ingestion_or_jobs() -> None:
    files = [file for folder in FOLDERS for file in sorted(folder.rglob("*.py")) if file != OWNER]
    assert len(files) > 30
    found = {str(file.relative_to(ROOT)): states for file in files if (states := list(spelled_states(file)))}
    assert found == {}
