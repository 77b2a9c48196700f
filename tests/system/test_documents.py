"""Examples of README, CONTRIBUTING and docs/: each page runs in a small checkout of its own.

The blocks of a page run as they stand, in order. A page that starts from the tables of another page gets a copy of the
folder that the other page left. Not run, but checked as configuration: commands with conf/cluster.yaml, the wheel task
of Databricks. Not run: blocks of language `text`, Spark's own master and worker (tests/system/test_cluster.py starts
them), `pip install`, `export` and `make` except `make run`.
"""

import ast
import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.core.names import FORMATS, NETWORKS
from recsys_spark.interface.commands import COMMANDS
from recsys_spark.interface.commands import main as recsys
from tests.documents import JOBS, MAKEFILE, PAGES, ROOT, TEXT, Block, JobCall, Page, job_calls, page, words_of_commands

# A sample and a model that take seconds. The environment is a low layer: what an example states wins.
SMALL = {
    "RECSYS_SAMPLE__USERS": "80",
    "RECSYS_SAMPLE__ITEMS": "60",
    "RECSYS_SAMPLE__ROWS": "1200",
    "RECSYS_MODELS__ALS__RANK": "8",
    "RECSYS_MODELS__ALS__MAX_ITER": "3",
}
# Items of the full sample that the pages ask about; the small sample has others.
ASKED_FOR = ("Stray Harbour 2", "Follow the Golden Summer")
RAW = {
    "plays/2025-07-01.csv": "listener,song,title,started\nann,s1,One,2025-07-01 10:00\nbob,s2,Two,2025-07-01 11:00\n"
    "ann,s2,Two,2025-07-01 12:00\ncat,s1,One,2025-07-01 13:00\ncat,s3,Three,2025-07-01 14:00\n",
    "totals.tsv": "user\tartist\tplays\nann\tThe Beatles\t12\nbob\tCan\t3\n",
    "ratings.jsonl": '{"user_id": "ann", "item_id": "m1", "stars": 5}\n',
    "ml-100k/u.data": "1\t1\t5\t874965758\n",
    "ml-100k/u.user": "1|24|M|technician|85711\n",
    "ml-100k/u.item": f"1|Toy Story (1995)|01-Jan-1995||http://example.org|{'|'.join('0' * 19)}\n",
    "ml-100k/README": "not data\n",
    "lastfm-360k/usersha1-artmbid-artname-plays.tsv": "u1\t\tCan\t12\nu1\t5b11f4ce-a62d\tNirvana\t3\n",
    "lastfm-360k/usersha1-profile.tsv": "u1\tf\t24\tGermany\tFeb 1, 2007\n",
    "lastfm-gender.csv": "user,artist,sex,country\n1,Can,f,Germany\n",
    "anime/rating.csv": "user_id,anime_id,rating\n1,20,-1\n1,21,8\n",
    "anime/anime.csv": 'anime_id,name,genre,type,episodes,members\n20,"Naruto, again",Action,TV,220,683297\n',
    "spotify/StreamingHistory0.json": '[{"endTime": "2024-03-01 10:00", "artistName": "Can", "trackName": "One"}]',
    "objections.txt": "somebody\n",
    "radio/monday.log": "ann;t1;1751360400\n",
}
FIRST_RUN = page("docs/tutorials/first-run.md")
# Runs in a copy of the package: executors are processes of their own, which have to find its file as well.
NEW_NETWORK = page("docs/how-to/add-a-network.md")


@dataclass
class Reader:
    """A run of the blocks of one page in a folder; without a session it checks them."""

    folder: Path
    patch: pytest.MonkeyPatch
    spark: SparkSession | None = None
    tables: str = "data/tables"
    is_quick: bool = False
    names: dict[str, Any] = field(default_factory=dict)

    def follow(self, page: Page) -> None:
        """Run all blocks of a page in its folder, with small samples and models."""
        self.patch.chdir(self.folder)
        for name, value in SMALL.items():
            self.patch.setenv(name, value)
        for block in page.blocks:
            self._run(block)

    def _run(self, block: Block) -> None:
        text = self._localise(block.text)
        match block.language:
            case "sh":
                for words in words_of_commands(text):
                    self._type(words)
            case "yaml":
                # The first line states the file.
                name = re.match(r"# (conf/\w+\.yaml)\n", text)
                assert name is not None and isinstance(yaml.safe_load(text), dict)
                (self.folder / name[1]).write_text(text, encoding="utf-8")
            case "csv":
                assert block.title.startswith("raw/")
                file = self.folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            case "python":
                self._run_python(text)
            case "sql":
                self._run_sql(text)
            case "json":
                check_wheel_task(json.loads(text)["python_wheel_task"])
            case "text":
                pass
            case other:
                pytest.fail(f"a block of the language {other!r} cannot be run by this test")

    def _localise(self, text: str) -> str:
        """Return the text with items of the small sample and absolute paths.

        The JVM has another working folder.
        """
        if self.spark is None:
            return text
        if any(re.search(re.escape(shown), text, re.IGNORECASE) for shown in ASKED_FOR):
            names = similar_names(self.spark, self.folder / "data" / "tables")
            for shown, name in zip(ASKED_FOR, names, strict=False):
                text = re.sub(re.escape(shown), name, text, flags=re.IGNORECASE)
        return re.sub(r"(?<![\w/-])(raw|data)/", lambda match: f"{self.folder}/{match[0]}", text)

    def _type(self, words: list[str]) -> None:
        missing = [word for word in words if word.startswith("conf/") and not (self.folder / word).exists()]
        assert missing == []
        call = JobCall.from_words(words)
        if call is not None:
            self._start(call, only_read="conf/cluster.yaml" in words)
        elif words[:2] == ["make", "run"] and not self.is_quick:
            assert "Nearest neighbours of the most played items" in self._start(make_run()) or self.spark is None
        elif words[0] == "recsys":
            assert {*words[1:2]} <= COMMANDS.keys()
            assert self.spark is None or recsys(words[1:]) == 0
        else:
            check_other_command(words)

    def _start(self, call: JobCall, only_read: bool = False) -> str:
        """Start a job, which must succeed and find all items it is asked for; return what it printed."""
        assert call.job in JOBS
        for name, value in call.environment.items():
            self.patch.setenv(name, value)
        if "--help" not in call.arguments:
            self.tables = load_config(call.arguments).tables.root or self.tables
        if self.spark is None or only_read:
            return ""
        with redirect_stdout(io.StringIO()) as stdout:
            code = importlib.import_module(f"recsys_spark.jobs.{call.job}").main(call.arguments)
        printed = stdout.getvalue()
        assert code == 0, printed
        assert "--help" in call.arguments or not json.loads(printed.splitlines()[-1])["rows"].get("items_unknown")
        return printed

    def _run_python(self, text: str) -> None:
        """Run a module if the first line is its path, else statements; `rows`, if it is set, must not be empty."""
        file = re.match(r"# (recsys_spark/[\w/]+)\.py\n", text)
        if file is not None:
            module = types.ModuleType(file[1].replace("/", "."))
            self.patch.setitem(sys.modules, module.__name__, module)
            exec(text, module.__dict__)
            for line in re.findall(rf'"(\w+)": "({re.escape(module.__name__)}:\w+)"', TEXT):
                self.patch.setitem(NETWORKS if ".networks." in module.__name__ else FORMATS, *line)
        elif self.spark is None:
            check_imports(ast.parse(text))
        else:
            self.names.pop("rows", None)
            exec(text, self.names)
            assert len(self.names.get("rows", "unset")) > 0

    def _run_sql(self, text: str) -> None:
        """Run a query on the tables of the last job."""
        assert re.search(r"\bSELECT\b.*\bFROM\b", text, re.DOTALL)
        if self.spark is not None:
            show_tables(self.spark, self.folder / self.tables)
            self.spark.sql(text).collect()


def make_run() -> JobCall:
    """Return the job call behind `make run`."""
    recipe = re.search(r"^run:.*\n\t\$\(BIN\)/(python .*) \$\(ARGS\)$", MAKEFILE, re.MULTILINE)
    call = JobCall.from_words(shlex.split(recipe[1])) if recipe is not None else None
    assert call is not None
    return call


def show_tables(spark: SparkSession, root: Path) -> None:
    """Give each table below a root its name as a view."""
    for log in root.glob("*/_delta_log"):
        spark.read.format("delta").load(str(log.parent)).createOrReplaceTempView(log.parent.name)


def similar_names(spark: SparkSession, root: Path) -> list[str]:
    """Return plain names of items that have neighbours."""
    items, similar = (spark.read.format("delta").load(str(root / name)) for name in ("items", "item_similarity"))
    known = items.join(similar, on="item_id", how="left_semi").where("name RLIKE '^[A-Za-z ]+$'")
    return sorted({row["name"] for row in known.select("name").collect()})


def check_other_command(words: list[str]) -> None:
    """Check a command that is not run."""
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None, module
        case ["source", ".venv/bin/activate"] | ["pip", "install", *_] | ["export", *_]:
            pass
        case ["spark-class", "org.apache.spark.deploy.master.Master" | "org.apache.spark.deploy.worker.Worker", *_]:
            # tests/system/test_cluster.py starts them.
            pass
        case _:
            pytest.fail(f"a command that cannot be run or checked by this test: {words}")


def check_imports(tree: ast.Module) -> None:
    """Check that what a block imports from this package exists."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recsys_spark"):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def check_wheel_task(task: dict[str, Any]) -> None:
    """Check a wheel task of Databricks as configuration."""
    assert task["entry_point"].removeprefix("recsys-").replace("-", "_") in JOBS
    load_config(task["parameters"], {})


def bare_checkout(folder: Path) -> Path:
    """Make a folder with the configuration of the repository and small raw files."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name, text in RAW.items():
        file = folder / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@cache
def checkout_after(page: Path, base: Path) -> Path:
    """Run a page, and before it the page that it starts from, once a session; return the folder it leaves."""
    return run_page(next(other for other in PAGES if other.path == page), base)


def run_page(page: Page, base: Path) -> Path:
    """Run a page in a folder of its own below `base`; needs an active Spark session."""
    folder = base / page.name.replace("/", "-").removesuffix(".md")
    if page.start is None:
        bare_checkout(folder)
    else:
        shutil.copytree(checkout_after(page.start.path, base), folder)
    with pytest.MonkeyPatch.context() as patch:
        # The test of the first run runs `make run`; README is for the fast tests.
        Reader(folder, patch, SparkSession.active(), is_quick=page.name == "README.md").follow(page)
    return folder


@pytest.fixture
def checkout(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder that the first run left; its tables are views."""
    folder = checkout_after(FIRST_RUN.path, tmp_path_factory.getbasetemp())
    monkeypatch.chdir(folder)
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    show_tables(spark, folder / "data" / "tables")
    return folder


def marked(page: Page) -> Any:
    """Return the page as a parameter; pages with jobs are slow, except README, which is short."""
    slow = page.name != "README.md" and (any(job_calls(page)) or page == FIRST_RUN or page.start is not None)
    return pytest.param(page, id=page.name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if page.blocks and page != NEW_NETWORK])
def test_examples_of_a_page_run(page: Page, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    if page == FIRST_RUN:
        checkout_after(page.path, base)
    else:
        run_page(page, base)


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=str)
def test_examples_of_a_page_are_well_formed(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(bare_checkout(tmp_path / "checkout"), monkeypatch).follow(page)


@pytest.mark.slow
def test_a_new_network_is_a_file_and_a_line(checkout: Path, tmp_path: Path) -> None:
    """Run the example in a copy of the package, where executors find the new file."""
    package = tmp_path / "recsys_spark"
    shutil.copytree(ROOT / "recsys_spark", package)
    shutil.copytree(ROOT / "jobs", package / "jobs")
    module, shell = (block.text for block in NEW_NETWORK.blocks[:2])
    (tmp_path / module.splitlines()[0].removeprefix("# ")).write_text(module, encoding="utf-8")
    registry = package / "core" / "names.py"
    line = re.findall(r'`("bottleneck": .*,)`', NEW_NETWORK.text)[0]
    registry.write_text(registry.read_text().replace("NETWORKS = {\n", "NETWORKS = {\n    " + line + "\n"))
    assert line in registry.read_text()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for words in words_of_commands(shell):
        command = [sys.executable, "-m", f"recsys_spark.jobs.{Path(words[1]).stem}", *words[2:]]
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1])["rows"]["users_model"] > 0


@pytest.mark.slow
def test_the_local_spark_submit_is_one(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for page in PAGES for block in page.blocks if block.language == "sh"]
    lines = [words for block in blocks for words in words_of_commands(block.text)]
    (line,) = [words for words in lines if words[0] == "spark-submit" and "conf/spark-local.conf" in words]
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = [*line, "--tables.root", str(checkout / "data" / "tables")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "done"


@pytest.mark.slow
def test_the_query_of_similar_items_gives_the_table_of_the_serving_model_by_name(
    checkout: Path, spark: SparkSession
) -> None:
    name = similar_names(spark, checkout / "data" / "tables")[0]
    names = {row["item_id"]: row["name"] for row in spark.table("items").collect()}
    (serving,) = [row for row in spark.table("models").collect() if "item_similarity" in row["serves"]]
    expected = [
        (row["position"], names[row["similar_item_id"]], row["similarity"])
        for row in spark.table("item_similarity").orderBy("position").collect()
        if names[row["item_id"]] == name and row["model_version"] == serving["model_version"]
    ]
    query = (checkout / "conf/sql/similar_items.sql").read_text()
    assert [tuple(row) for row in spark.sql(query, args={"name": name}).collect()] == expected != []


@pytest.mark.slow
def test_the_query_of_recommendations_gives_one_list_in_order(checkout: Path, spark: SparkSession) -> None:
    user = spark.table("user_index").where("user_idx = 0").collect()[0]["user_id"]
    query = (checkout / "conf/sql/recommendations.sql").read_text()
    rows = spark.sql(query, args={"user_id": user}).collect()
    assert [row["position"] for row in rows] == list(range(1, 21))
    assert all(row["item"] and row["origin"] for row in rows)


def test_every_query_in_conf_is_named_and_tested() -> None:
    assert {file.name for file in (ROOT / "conf/sql").iterdir()} == {"similar_items.sql", "recommendations.sql"}
