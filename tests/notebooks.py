"""Execution of notebooks as Jupyter does it: what a cell prints, and the value of its last line.

`python -m tests.notebooks FILE...` runs notebooks from their own folder and keeps their outputs in them.
"""

import ast
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["MAX_OUTPUT", "code_cells", "outputs", "read_notebook", "run_cells"]

# Characters of an output that is kept; the report of a large root has more.
MAX_OUTPUT = 20_000


def read_notebook(file: Path) -> dict[str, Any]:
    """Return the content of a notebook."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def code_cells(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells with code."""
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cells(content: dict[str, Any], name: str) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Run the cells in order in one namespace; yield each with what it printed and its value."""
    names: dict[str, Any] = {}
    for number, cell in enumerate(code_cells(content)):
        module = ast.parse("".join(cell["source"]))
        last = module.body[-1] if module.body and isinstance(module.body[-1], ast.Expr) else None
        if last is not None:
            module.body.pop()
        where, value, printed = f"{name}, cell {number}", None, io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(module, where, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), where, "eval"), names)
        yield cell, printed.getvalue(), value


def outputs(printed: str, value: Any, number: int) -> list[dict[str, Any]]:
    """Return the outputs of a cell in the format of notebooks; those that are too long are left out."""
    kept: list[dict[str, Any]] = []
    # The summary lines of jobs have times and paths of this machine.
    text = "".join(line for line in printed.splitlines(keepends=True) if "/" not in line)
    if text and len(text) <= MAX_OUTPUT:
        kept.append({"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)})
    if value is not None:
        data = {"text/plain": repr(value)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_()
        if all(len(content) <= MAX_OUTPUT for content in data.values()):
            lines = {kind: content.splitlines(keepends=True) for kind, content in data.items()}
            kept.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": lines})
    return kept


def main(files: list[str]) -> None:
    """Run notebooks and write their outputs into them."""
    for file in map(Path, files):
        path, content = file.absolute(), read_notebook(file)
        with contextlib.chdir(path.parent):
            for number, (cell, printed, value) in enumerate(run_cells(content, path.name), start=1):
                cell["outputs"], cell["execution_count"] = outputs(printed, value, number), number
                print(f"{path.name}: cell {number} done", file=sys.stderr, flush=True)
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    main(sys.argv[1:])
