"""Tests of the notebooks: they run from their own folder, and are stored without outputs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.system.test_documents import checkout

__all__ = ["checkout"]

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs_from_top_to_bottom(
    notebook: Path, checkout: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The tables are those of the first run, which saves time."""
    folder = checkout / "notebooks"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for number, cell in enumerate(code_cells(notebook)):
        exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert names["report"].status == "done"
    queries = sum(".show(" in line for cell in code_cells(notebook) for line in cell["source"])
    border = r"^\+[-+]+\+\n"
    assert len(re.findall(border, printed, re.MULTILINE)) == 3 * queries > 0
    assert not re.search(f"({border}){{2}}", printed, re.MULTILINE), f"a query gave no rows:\n{printed}"
    assert spark.range(1).count() == 1, "the notebook stopped a session that it did not start"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    cells = code_cells(notebook)
    assert cells
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"]] == []
