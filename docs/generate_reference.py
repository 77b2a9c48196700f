"""Reference pages from the code: jobs, configuration, tables, exit codes and metrics.

`python docs/generate_reference.py` writes docs/reference/; a test compares the pages with the code.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic.fields import FieldInfo

from recsys_spark.config.help import default_text, type_text
from recsys_spark.config.keys import settings_by_key
from recsys_spark.core import errors
from recsys_spark.interface.opening import open_root
from recsys_spark.interface.pictures import bars, lines
from recsys_spark.interface.registry import all_jobs
from recsys_spark.interface.root import Root
from recsys_spark.metrics import diversity, ranking
from recsys_spark.metrics.similar_items import SIMILARITY_METRICS
from recsys_spark.runtime.termination import Terminated
from recsys_spark.storage.descriptions import ROWS, column_description
from recsys_spark.storage.schemas import TABLES, Table

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate_reference.py. -->"


def jobs_page() -> str:
    """Return the page of all jobs with what they read and write."""
    rows = [(f"`{job.name}`", job.summary, _listed(job.reads), _listed(job.writes)) for job in all_jobs()]
    return _page(
        "Jobs",
        "`python jobs/NAME.py`, the same file under `spark-submit`, or the commands [`recsys NAME`](command.md) and"
        " `recsys-NAME` of the wheel. Every job accepts `--config FILE` (repeatable, later files win),"
        " `--section.key VALUE` for each [setting](configuration.md), and `--help` for the settings of the job. Each"
        " run adds a row to `job_runs`. A job that works on a model takes the newest version of `--model.kind` (default"
        " `als`), or the version that `--model.version` names.",
        "The table lists what a job may read and write with any configuration.",
        _table(("job", "purpose", "reads", "writes"), rows),
    )


def configuration_page() -> str:
    """Return the page of all settings, one section a heading."""
    parts = [
        "Flags (`--section.key VALUE`) win over environment variables (`RECSYS_SECTION__KEY`), those over files"
        " (`--config FILE`), files over defaults. Unknown keys are errors. `conf/base.yaml` holds the same"
        " list as YAML."
    ]
    sections: dict[str, list[tuple[str, FieldInfo]]] = {}
    for key, info in settings_by_key().items():
        section = ".".join(key.split(".")[: 2 if key.startswith("models.") else 1])
        sections.setdefault(section, []).append((key, info))
    for section, settings in sections.items():
        rows = [
            (f"`{key}`", _cell(type_text(info.annotation)), f"`{default_text(info)}`", _cell(info.description or ""))
            for key, info in settings
        ]
        parts += [f"## {section}", _table(("key", "type", "default", "meaning"), rows)]
    return _page("Configuration", *parts)


def tables_page() -> str:
    """Return the page of all tables with their columns."""
    parts = [
        "All are Delta tables that engines other than Spark can read. A new release may add columns; it never renames"
        " or removes one. Times are UTC. Each commit states its run and the versions of the tables that it was made"
        " from (`DESCRIBE HISTORY`). The version that serves a table is the row of `models` with"
        " `array_contains(serves, 'recommendations')`.",
        "Columns are created as `NOT NULL` where the table says so. In a catalog (`tables.schema`) the conditions are"
        " `CHECK` constraints too; in folders the jobs alone keep them."
        " [Schema changes](../how-to/schema-changes.md) has the details.",
    ]
    for name, table in TABLES.items():
        rows = [
            (f"`{column}`", f"`{sql_type}`", _constraints(table, column), column_description(name, column))
            for column, sql_type in table.types.items()
        ]
        parts += [
            f"## {name}",
            f"{ROWS[name]} Made by `{table.made_by}`.",
            _table(("column", "type", "constraints", "meaning"), rows),
        ]
    return _page("Tables", *parts)


def _constraints(table: Table, column: str) -> str:
    parts = ["" if column in table.nullable else "NOT NULL", table.checks.get(column, "")]
    return ", ".join(f"`{part}`" for part in parts if part)


def exit_codes_page() -> str:
    """Return the page of exit codes and of the summary line."""
    classes: list[type[errors.RecsysError]] = [
        getattr(errors, name) for name in errors.__all__ if name != "RecsysError"
    ]
    rows = [("0", "Done, or nothing new to do."), ("1", "Any other error: a defect, or a failure of the machine.")]
    for error in sorted(classes, key=lambda error: error.exit_code):
        rows.append((str(error.exit_code), " ".join((inspect.getdoc(error) or "").split())))
    rows.append((str(Terminated.exit_code), "Ended by SIGTERM. The run is recorded; the same command continues it."))
    return _page(
        "Exit codes",
        "Logs go to stderr. The last line of stdout is one JSON object: `job`, `run_id`, `status`, `exit_code`,"
        " `seconds`, `rows` (counts by name), `outputs` (table: version, and paths of files), `model_version` (of"
        " training) and `error`. `job_runs` holds the same facts; cluster deploy modes may hide exit codes, so"
        " `job_runs` is authoritative."
        " It has no row of a failed run at an address without tables, and no items of `--items`.",
        _table(("exit code", "meaning"), rows),
    )


def metrics_page() -> str:
    """Return the page of all metrics with their definitions."""
    parts = [
        "Gains are binary. Users without held-out items are left out and counted. Ties are ordered by score descending,"
        " then `item_idx` ascending. [Splits and evaluation](../explanation/splits-and-evaluation.md) describes the"
        " protocols."
    ]
    for title, module, names in (
        ("Rankings", ranking, tuple(ranking.RANKING_METRICS)),
        ("Lists as a whole", diversity, diversity.LIST_METRICS),
    ):
        parts.append(f"## {title}")
        parts.append(_table(("metric", "definition"), [(f"`{name}`", _definition(module, name)) for name in names]))
    parts += [
        "## Similar items",
        _table(("metric", "definition"), [(f"`{n}`", t) for n, t in SIMILARITY_METRICS.items()]),
    ]
    return _page("Metrics", *parts)


def python_page() -> str:
    """Return the page of the Python interface, from its docstrings."""
    public = [(name, member) for name, member in vars(Root).items() if not name.startswith("_")]
    parts = [
        "`from recsys_spark import open_root, bars, lines`."
        " [From a notebook](../tutorials/from-a-notebook.md) shows it at work."
        " Errors are the classes of [exit codes](exit-codes.md).",
        f"## open_root\n\n{_signature('open_root', open_root)}\n\n{_documented(open_root)}",
        f"## Root\n\n{_documented(Root)}",
    ]
    for name, member in public:
        call = f"```text\nroot.{name}\n```" if isinstance(member, property) else _signature(f"root.{name}", member)
        parts.append(f"### root.{name}\n\n{call}\n\n{_documented(member)}")
    for name, function in (("bars", bars), ("lines", lines)):
        parts.append(f"## {name}\n\n{_signature(name, function)}\n\n{_documented(function)}")
    return _page("Python interface", *parts)


def _signature(name: str, function: object) -> str:
    assert callable(function)
    text = str(inspect.signature(function)).replace("(self, ", "(").replace("(self)", "()").replace("'", "")
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)
    return f"```text\n{name}{text}\n```"


def _documented(member: object) -> str:
    """Return a docstring as Markdown: its sections as bold words, its examples as code."""
    lines = []
    for line in (inspect.getdoc(member) or "").splitlines():
        if re.fullmatch(r"(Args|Raises|Example):", line):
            lines += [f"**{line[:-1]}**", ""]
        elif entry := re.fullmatch(r"    (>>> )?(.*)", line):
            argument = re.match(r"\w+(?=: )", entry[2])
            text = f"- `{argument[0]}`{entry[2][argument.end() :]}" if argument else entry[2]
            lines.append(f"    {entry[2]}" if entry[1] else text if argument else f"  {entry[2].strip()}")
        else:
            lines.append(line)
    return "\n".join(lines)


def _definition(module: object, name: str) -> str:
    found = ranking.RANKING_METRICS[name] if module is ranking else getattr(module, name)
    text = " ".join((inspect.getdoc(found) or "").split()).removeprefix("Return ")
    return _cell(text[:1].upper() + text[1:])


def pages() -> dict[str, str]:
    """Return the text of each generated page by file name."""
    return {
        "jobs.md": jobs_page(),
        "configuration.md": configuration_page(),
        "tables.md": tables_page(),
        "exit-codes.md": exit_codes_page(),
        "metrics.md": metrics_page(),
        "python.md": python_page(),
    }


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"[{name}](tables.md#{name})" if name in TABLES else name for name in names)


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", NOTE, *parts)) + "\n"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(_lines(header, rows))


def _lines(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for file_name, text in pages().items():
        (FOLDER / file_name).write_text(text, encoding="utf-8")
