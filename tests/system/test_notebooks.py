"""Tests of the notebooks: they run from their own folder, and keep only small outputs."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from tests.notebooks import MAX_OUTPUT, code_cells, read_notebook, run_cells
from tests.system.test_documents import checkout

__all__ = ["checkout"]

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs_from_top_to_bottom(
    notebook: Path, checkout: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are those of the first run, which saves time."""
    (checkout / "notebooks").mkdir(exist_ok=True)
    shutil.copy(notebook, checkout / "notebooks")
    monkeypatch.chdir(checkout / "notebooks")
    for cell, _, value in run_cells(read_notebook(notebook), notebook.name):
        if isinstance(value, pd.DataFrame):
            assert len(value), f"no rows: {''.join(cell['source'])}"
        if hasattr(value, "_repr_html_"):
            assert value._repr_html_()
    assert spark.range(1).count() == 1, "the notebook stopped a session that it did not start"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.name)
def test_outputs_are_small_and_name_no_machine(notebook: Path) -> None:
    cells = code_cells(read_notebook(notebook))
    assert cells
    for cell in cells:
        kept = json.dumps(cell["outputs"])
        assert len(kept) < 3 * MAX_OUTPUT and "/tmp/" not in kept and "/home/" not in kept, "".join(cell["source"])
    assert notebook.stat().st_size < 200_000


@pytest.mark.parametrize("name", ["conf/local.yaml", "conf/databricks.yaml"])
def test_configurations_of_notebooks_load(name: str) -> None:
    assert load_config(["--config", str(FOLDER.parent / name)], {}).files_root
    assert any(name in "".join(cell["source"]) for file in NOTEBOOKS for cell in read_notebook(file)["cells"])
