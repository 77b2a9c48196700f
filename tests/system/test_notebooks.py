"""Tests of the notebooks: Jupyter runs them from their own folder, and they keep only small outputs."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from recsys_spark.config.load import load_config
from tests.notebooks import MAX_OUTPUT, execute, small_outputs
from tests.system.test_documents import checkout

__all__ = ["checkout"]

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DATA = ("display_data", "execute_result")


def _code_cells(file: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, checkout: Path) -> None:
    """The tables are those of the first run, which saves time."""
    (checkout / "notebooks").mkdir(exist_ok=True)
    shutil.copy(notebook, checkout / "notebooks")
    executed = execute(notebook, checkout / "notebooks")
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if output.output_type in DATA:
                assert "Empty DataFrame" not in output.data["text/plain"], cell.source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_outputs_are_kept_are_small_and_name_no_machine(notebook: Path) -> None:
    cells = _code_cells(notebook)
    assert any(output.output_type in DATA for cell in cells for output in cell.outputs)
    for cell in cells:
        kept = json.dumps(cell.outputs)
        assert len(kept) < 3 * MAX_OUTPUT and "/tmp/" not in kept and "/home/" not in kept, cell.source
    assert notebook.stat().st_size < 200_000


@pytest.mark.parametrize("name", ["conf/local.yaml", "conf/databricks.yaml"])
def test_configurations_of_notebooks_load(name: str) -> None:
    assert load_config(["--config", str(FOLDER.parent / name)], {}).files_root
    assert any(name in cell.source for file in NOTEBOOKS for cell in nbformat.read(file, as_version=4).cells)


def test_outputs_without_use_for_readers_are_left_out() -> None:
    new = nbformat.v4.new_output
    outputs = [
        new("stream", name="stderr", text="a log line\n"),
        new("stream", name="stdout", text="Tables:\nplays /a/path\n"),
        new("stream", name="stdout", text="three rows\n"),
        new("execute_result", data={"text/plain": "x" * MAX_OUTPUT}),
        new("execute_result", data={"text/plain": "7"}),
    ]
    kept = small_outputs(outputs)
    assert [output.get("text") or output.data["text/plain"] for output in kept] == ["three rows\n", "7"]
