"""Execution of notebooks by Jupyter's own client and kernel.

`python -m tests.notebooks FILE...` runs notebooks from their own folder and keeps their outputs in them.
"""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["MAX_OUTPUT", "execute", "small_outputs"]

# Characters of an output that is kept; the report of a large root has more.
MAX_OUTPUT = 20_000
# Seconds of one cell: a first run trains models.
TIMEOUT = 3600


def execute(file: Path, folder: Path) -> nbformat.NotebookNode:
    """Run all cells of a notebook in a new kernel that starts in `folder`; return it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised an error.
    """
    notebook = nbformat.read(file, as_version=4)

    def report(cell: Any, cell_index: int, **_: Any) -> None:
        if cell.cell_type == "code":
            print(f"{file.name}: cell {cell_index} starts", file=sys.stderr, flush=True)

    NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=report,
    ).execute()
    return notebook


def small_outputs(outputs: list[Any]) -> list[Any]:
    """Return the outputs worth keeping: values and printed lines, without logs, paths and large pages."""
    kept = []
    for output in outputs:
        # The summaries of jobs have times and paths of the machine.
        if output.output_type == "stream" and (output.name == "stderr" or "/" in output.text):
            continue
        if len(nbformat.v4.writes(nbformat.v4.new_notebook(cells=[_cell(output)]))) <= MAX_OUTPUT:
            kept.append(output)
    return kept


def _cell(output: Any) -> Any:
    return nbformat.v4.new_code_cell(outputs=[output])


def main(files: list[str]) -> None:
    """Run notebooks and write their outputs into them."""
    for file in map(Path, files):
        notebook = execute(file, file.absolute().parent)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = small_outputs(cell.outputs)
                cell.metadata.pop("execution", None)
        notebook.metadata.get("language_info", {}).pop("version", None)
        nbformat.write(notebook, file)


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    main(sys.argv[1:])
