"""Facts of README, CONTRIBUTING and docs/: links resolve, names exist, and nothing that exists is left out."""

import re
from typing import Any

import pytest
import yaml

from recsys_spark.config.keys import settings_by_key
from recsys_spark.config.sample import SampleSettings
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.names import FORMATS, KINDS, NETWORKS, all_kinds
from recsys_spark.sample.karaoke import KARAOKE
from recsys_spark.storage.schemas import TABLES
from tests.docstrings import VAGUE
from tests.documents import JOBS, PAGES, ROOT, TEXT, Page, page
from tests.system.test_documents import ASKED_FOR

README = page("README.md")
# Names of settings, values and counts that begin like the name of a job.
NO_JOBS = {"run_id", "search_space", "split_id", "train_and_validation"}


def test_readme_is_one_page() -> None:
    assert len(README.text.splitlines()) <= 120
    assert len(README.text.split()) <= 900


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_resolves(page: Page) -> None:
    for target in page.links:
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        assert file.exists(), target
        if anchor:
            (linked,) = [other for other in PAGES if other.path == file]
            assert anchor in linked.anchors, target


def test_the_site_has_every_page() -> None:
    def leaves(node: Any) -> list[str]:
        children = node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
        return [node] if isinstance(node, str) else [leaf for child in children for leaf in leaves(child)]

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(f"docs/{leaf}" for leaf in leaves(site["nav"])) == [
        page.name for page in sorted(PAGES, key=str) if page.name.startswith("docs/")
    ]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_use_the_terms_of_the_field(page: Page) -> None:
    assert VAGUE.findall(page.prose) == []


def test_every_key_that_is_mentioned_exists() -> None:
    # And the one of the network that the reader is shown how to add, and the form of a key.
    keys = {**settings_by_key(), "models.bottleneck.width": None, "section.key": None}
    flags = re.findall(r"--([a-z_]+(?:\.[a-z_0-9]+)+)", TEXT)
    variables = {name.lower().replace("__", ".") for name in re.findall(r"RECSYS_(\w+__\w+)=", TEXT)}
    sections = {key.partition(".")[0] for key in keys}
    quoted = re.findall(r"`([a-z_]+)((?:\.[A-Za-z_]+)*?)(\.\*)?`", TEXT)
    mentioned = [(section + rest, bool(star)) for section, rest, star in quoted if section in sections and rest + star]
    assert len(flags) > 20 and len(variables) == 3 and len(mentioned) > 10
    assert [key for key in [*flags, *variables] if key not in keys] == []
    # Properties of Spark itself have more than two parts, but for one.
    own = [(key, star) for key, star in mentioned if not key.startswith("spark.") or key.count(".") == 1]
    prefixes = [(key.replace("KIND", next(iter(KINDS))), star) for key, star in own if key != "spark.archives"]
    # A key of a table, such as models.gate, is no setting.
    columns = {f"{name}.{column}" for name, table in TABLES.items() for column in column_names(table.columns)}
    groups = {key.rpartition(".")[0] for key in keys}
    assert [key for key, star in prefixes if not star and key not in {*keys, *columns, *groups}] == []
    assert [key for key, star in prefixes if star and not any(other.startswith(f"{key}.") for other in keys)] == []


def test_every_path_that_is_mentioned_exists() -> None:
    folders = "recsys_spark|tests|conf|deploy|jobs|notebooks|docs|requirements"
    quoted = set(re.findall(rf"`((?:{folders})/[\w./*-]*)`", TEXT))
    assert [path for path in sorted(quoted) if not any(ROOT.glob(path))] == []
    assert len(quoted) > 10


def test_every_job_that_is_mentioned_exists() -> None:
    verbs = "|".join(sorted({job.partition("_")[0] for job in JOBS if "_" in job}))
    quoted = set(re.findall(rf"`((?:{verbs})_[a-z_]+)`", TEXT))
    keys = {part for key in settings_by_key() for part in key.split(".")}
    assert quoted - JOBS - keys - NO_JOBS == set()
    assert len(quoted & JOBS) > 10


def test_items_that_the_examples_ask_for_are_in_the_sample_of_make_run() -> None:
    plan = SampleSettings().plan(seed=42)
    lines = [line for chunk in KARAOKE.side_files["items.csv"].lines(plan) for line in chunk.to_pylist()]
    names = {line.split(",")[1] for line in lines}
    assert [name for name in ASKED_FOR if name not in names or name.lower() not in TEXT.lower()] == []


def rows_of(page: Page) -> list[list[str]]:
    """Return the cells of the rows of a page's tables, without backticks."""
    lines = [line for line in page.text.splitlines() if line.startswith("|") and not re.match(r"^\|[ :|-]+$", line)]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def column_names(columns: str) -> list[str]:
    """Return the names of the columns of a SQL type string."""
    plain = re.sub(r"<[^<>]*>", "", columns)
    return [column.split()[0].strip("`") for column in plain.split(",")]


def test_the_tables_are_described_with_every_column() -> None:
    _, *parts = re.split(r"^## `?(\w+)`?$", page("docs/reference/tables.md").text, flags=re.MULTILINE)
    described = {
        name: re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        for name, section in zip(parts[::2], parts[1::2], strict=True)
    }
    assert described == {name: column_names(table.columns) for name, table in TABLES.items()}


def test_every_job_format_and_kind_is_described() -> None:
    first_cells = {row[0].partition("(")[0].strip("[]") for row in rows_of(page("docs/reference/jobs.md"))}
    assert first_cells >= JOBS
    formats = {row[0] for row in rows_of(page("docs/how-to/add-a-source-format.md"))}
    assert formats >= set(FORMATS)
    flow = page("docs/explanation/data-flow-and-exactly-once.md").text
    assert f"kinds: {', '.join(KINDS)}" in flow
    assert [name for name in NETWORKS if name not in flow] == []
    models = {file.stem for file in (ROOT / "docs/explanation/models").glob("*.md")}
    assert models == {"index", "gender", *all_kinds()}
    assert {row[0].partition("]")[0].strip("[") for row in rows_of(page("docs/explanation/models/index.md"))} >= {
        "gender",
        *all_kinds(),
    }


def test_every_exit_code_is_described() -> None:
    kinds: list[type[RecsysError]] = [RecsysError, *RecsysError.__subclasses__()]
    codes = {0, *(kind.exit_code for kind in kinds)}
    described = {int(row[0]) for row in rows_of(page("docs/reference/exit-codes.md")) if row[0].isdigit()}
    assert described >= codes


def tree() -> dict[str, bool]:
    """Return the paths of CONTRIBUTING's tree; true for a folder of which it shows single entries."""
    found: dict[str, bool] = {}
    folder = ""
    (text,) = [block.text for block in page("CONTRIBUTING.md").blocks if block.language == "text"]
    for line in text.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else ""
        found[folder + name] = False
        if folder:
            found[folder] = True
        elif name.endswith("/"):
            folder = name
    return found


def test_the_tree_shows_what_there_is() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []
    folders = ("jobs", "recsys_spark", "conf", "notebooks", "tests", "requirements", "docs", "deploy")
    files = [file.relative_to(ROOT) for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    shown = {path for path, is_detailed in tree().items() if not is_detailed}
    missing = [
        file.as_posix()
        for file in files
        if file.name not in ("__init__.py", "py.typed")
        and file.suffix != ".pyc"
        and not any(path in shown for path in (file.as_posix(), *(f"{parent}/" for parent in file.parents)))
    ]
    assert missing == []
